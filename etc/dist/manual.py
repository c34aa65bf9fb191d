"""manual.py PAGE: print a manual page, was-daemon.1 or was.toml.5, as man reads it.

The text is that of the guides: docs/commands.md, with the options that each command's --help lists, and docs/configuration.md.
"""

import os
import re
import sys
import time
from pathlib import Path

import click
import pypandoc

from was_daemon import __version__
from was_daemon.cli.main import main

_ROOT = Path(__file__).parent.parent.parent
_FILTER = Path(__file__).with_suffix(".lua")
_SYNTAX = "commonmark+pipe_tables+definition_lists"
_GUIDES = {
    "was-daemon.1": ("commands.md", "asset server for Specify, and its tools", "**was.toml**(5)"),
    "was.toml.5": ("configuration.md", "configuration of was-daemon", "**was-daemon**(1)"),
}
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~^$])")


def page(name: str) -> str:
    """Return the manual page called `name`."""
    guide, purpose, others = _GUIDES[name]
    title, _, section = name.rpartition(".")
    _, _, text = (_ROOT / "docs" / guide).read_text("utf-8").partition("\n")
    whole = f"## NAME\n\n{title} - {purpose}\n\n## DESCRIPTION\n{_with_options(text)}\n## SEE ALSO\n\n{others}\n"
    day = time.strftime("%Y-%m-%d", time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))))
    metadata = {"title": title.upper(), "section": section, "date": day, "footer": f"was_daemon {__version__}"}
    arguments = ["--standalone", "--shift-heading-level-by=-1", f"--lua-filter={_FILTER}"]
    arguments += [f"--metadata={key}:{value}" for key, value in metadata.items()]
    converted: str = pypandoc.convert_text(whole, "man", format=_SYNTAX, extra_args=arguments)
    return converted


def _with_options(text: str) -> str:
    """Return a guide with the options of each command at the end of the section that is called like it."""
    return "".join(map(_with_options_of_command, re.split(r"^(?=## )", text, flags=re.MULTILINE)))


def _with_options_of_command(section: str) -> str:
    heading = re.match(r"## `was-daemon ([a-z -]+)`\n", section)
    return f"{section}\n{_options(heading[1].split())}\n" if heading else section


def _options(words: list[str]) -> str:
    """Return how a command is used, and its options, as Markdown."""
    command: click.Command = main
    for word in words:
        assert isinstance(command, click.Group)  # noqa: S101  # the guide has a heading for each command, and no others
        command = command.commands[word]
    context = click.Context(command, info_name=" ".join(words))
    usage = " ".join(["was-daemon", *words, *command.collect_usage_pieces(context)])
    records = filter(None, (parameter.get_help_record(context) for parameter in command.get_params(context)))
    listed = "".join(f"`{names}`\n: {_escaped(text)}\n\n" for names, text in records)
    return f"Usage:\n\n    {usage}\n\n{listed}"


def _escaped(text: str) -> str:
    """Return a plain text as Markdown that shows it."""
    return _SPECIAL.sub(r"\\\1", text)


if __name__ == "__main__":
    sys.stdout.write(page(sys.argv[1]))
