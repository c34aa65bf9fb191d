"""The page at `/` for people with a browser."""

from was_daemon import __version__


def status_page() -> str:
    """A small HTML document."""
    return f"""<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Asset server</title>
<style>body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 4rem auto; padding: 0 1rem }}</style>
<h1>It works!</h1>
<p>This is an asset server for Specify, was_daemon {__version__}.
Enter the address of <a href="web_asset_store.xml">web_asset_store.xml</a> in Specify.</p>
</html>
"""
