"""Instructions for the configuration of Specify 6, Specify 7 and nginx."""

from pathlib import Path
from urllib.parse import urlsplit


def specify(url: str, key_file: Path) -> str:
    """Return the settings to enter in Specify 6 and 7 for a server at `url`."""
    document = f"{url}/web_asset_store.xml"
    key = f"<the key: cat {key_file}>"
    return f"""\
Specify 7, in the environment of its services in docker-compose.yml (specify7 and specify7-worker):
    - ASSET_SERVER_URL={document}
    - ASSET_SERVER_KEY={key}

Specify 7 without Docker, in local_specify_settings.py:
    WEB_ATTACHMENT_URL = '{document}'
    WEB_ATTACHMENT_KEY = '{key}'

Specify 6, these properties:
    attachment.url={document}
    attachment.key={key}
    attachment.use_path=false
"""


def nginx(url: str, port: int) -> str:
    """Return a site for nginx, with TLS, in front of a daemon that listens on `port` of the same machine."""
    parts = urlsplit(url)
    host = parts.hostname or "localhost"
    # With a path in `url`, nginx passes on the rest of a request's path.
    target = f"http://127.0.0.1:{port}{'/' if parts.path else ''}"
    return f"""\
server {{
    listen {parts.port or 443} ssl;
    listen [::]:{parts.port or 443} ssl;
    server_name {host};
    ssl_certificate     /etc/ssl/certs/{host}.pem;
    ssl_certificate_key /etc/ssl/private/{host}.key;

    # The daemon has a limit of its own, max_upload.
    client_max_body_size 0;

    location {parts.path}/ {{
        proxy_pass {target};
        proxy_http_version 1.1;
        # Uploads and downloads of any size pass through without a copy on the proxy's disk.
        proxy_request_buffering off;
        proxy_max_temp_file_size 0;
        proxy_read_timeout 300s;
        proxy_set_header Host $host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-Host $host;
    }}
}}
"""
