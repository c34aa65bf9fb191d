"""Moves and copies of assets by the server."""

from was_daemon.model.errors import AssetExists, AssetNotFound, CannotMove, StoreFailed, StoreUnavailable
from was_daemon.stores.http.answer import Answer
from was_daemon.stores.http.errors import Forbidden
from was_daemon.stores.webdav.tree import NO_PARENT, DavTree


async def relocate(tree: DavTree, method: str, source: str, target: str, replace: bool) -> None:
    """Have the server MOVE or COPY a file, by paths. Raises as `IMoves`."""
    size = (await tree.look(tree.url(source))).size
    answer = await tree.move_call(source, target, method, replace)
    if answer.code in NO_PARENT and not await _is_done(tree, answer, source, target):
        if not await tree.is_there(tree.url(source)):
            raise AssetNotFound("no such asset")
        await tree.make_parent(tree.url(target))
        answer = await tree.move_call(source, target, method, replace)
    if answer.code == 412:
        if replace:
            raise StoreUnavailable("the asset was replaced by somebody else at the same time")
        raise AssetExists("an asset of this name exists")
    if not await _is_done(tree, answer, source, target):
        await _expect_success(tree, answer, target)
    await _check(tree, method, source, target, size)


async def _is_done(tree: DavTree, answer: Answer, source: str, target: str) -> bool:
    """Fire with whether a request that was sent again had been carried out the first time."""
    return (
        answer.repeated
        and answer.code in (404, 412)
        and not await tree.is_there(tree.url(source))
        and await tree.is_there(tree.url(target))
    )


async def _expect_success(tree: DavTree, answer: Answer, target: str) -> None:
    try:
        answer.expect(200, 201, 204)
    except (StoreFailed, Forbidden) as error:
        # Servers have many statuses for what they do not do, such as 403, 405, 500 and 501.
        if await tree.is_there(tree.url(target)):
            raise
        raise CannotMove("the server does not move or copy the file") from error


async def _check(tree: DavTree, method: str, source: str, target: str, size: int) -> None:
    """Check that a file of this size is where it should be: pages that ask for a login come with status 200, too."""
    try:
        stored = await tree.look(tree.url(target))
    except AssetNotFound:
        raise CannotMove("the server has not moved or copied the file") from None
    if stored.size != size:
        raise StoreFailed("the server has moved or copied something else than the file")
    if method == "MOVE" and await tree.is_there(tree.url(source)):
        raise StoreFailed("the server has not removed the file that it moved")
