"""The console of the administrator, on the admin endpoints: pages that show what the daemon does, behind a login.

`guard` says who may see a page, `frame` makes one of its contents, and `routes` has the login and the overview. A
further part of the console is a class derived from `pages.Pages`, with `name`, `title`, and `app = console_app()`; each
of its routes is decorated by `app.route` and `guarded(administrator)`, or `guarded(form)` for a POST, whose form has
`token_field(visit)`, and returns `self.frame.answer(visit, Page(...))`. Addresses are relative: a proxy may have put
the console below any path, and `visit.root` leads to its first page. Pages need no script, and have none in them.
"""
