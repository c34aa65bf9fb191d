"""The authorisation of every route."""

from was_daemon.web.contract import authorisation
from was_daemon.web.contract.routes import AssetServer
from was_daemon.web.iiif.authorisation import capability_to_look
from was_daemon.web.viewer.subjects import permission_to_view

FORMS = {
    "index": authorisation.public,
    "discovery": authorisation.public,
    "preflight": authorisation.public,
    "options": authorisation.public,
    "testkey": authorisation.token_for_random,
    "fileget": authorisation.token_to_read,
    "getmetadata": authorisation.token_to_read,
    "fileupload": authorisation.token_in_upload,
    "filedelete": authorisation.token_to_delete,
    "get_image_record": authorisation.token_to_search,
    "getfileref": authorisation.static_original,
    "static": authorisation.static_path,
    "iiif": capability_to_look,
    "presentation": capability_to_look,
    "view": permission_to_view,
    "viewer_file": authorisation.public,
}


def test_every_route_has_the_authorisation_of_the_contract() -> None:
    found = {name: getattr(route, "authorisation", None) for name, route in AssetServer.app.endpoints.items()}
    assert found == FORMS
