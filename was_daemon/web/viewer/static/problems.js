// What went wrong, and what a person can do about it.

/** What stands for a status when another picture has the name of the one that was shown. */
export const REPLACED = "replaced";

const UNKNOWN = ["The picture cannot be shown", "The server answered:"];

const PROBLEMS = {
  0: ["The server cannot be reached", "Check the connection, then try again."],
  400: ["This address is not complete", "Open the picture again where you found the link to it. The server answered:"],
  403: [
    "This address is not valid, or no longer",
    "Addresses of this collection are for a limited time. Open the picture again in Specify, or where you found the link. "
      + "The server answered:",
  ],
  404: [
    "There is no such picture",
    "It may have been deleted or renamed, or the address is incomplete. The server answered:",
  ],
  415: ["Files of this kind cannot be shown here", "Download the original, and open it in another program."],
  422: ["The file cannot be read as a picture", "It may be damaged. The original can be downloaded. The server answered:"],
  [REPLACED]: ["The picture has been replaced", "Another one has this name now. Try again to look at it."],
  503: ["The server is busy", "Try again in a moment."],
};

/** Return the title and the text for an answer's status, 0 for none, and the line of text that the server sent. */
export function problemText(status, reason) {
  const [title, text] = PROBLEMS[status] ?? UNKNOWN;
  return { title, text: text.endsWith(":") ? `${text} ${reason || status}.` : text };
}

/** Whether another attempt may succeed. */
export function mayPass(status) {
  return status === 0 || status >= 500 || status === REPLACED;
}
