"""Further interfaces of a layered store, by what its layers can do."""

from collections.abc import Iterator, Sequence

from zope.interface import Interface

from was_daemon.model.interfaces import IAssetStore, IImageService, IPreviews, IRedirects, IThumbnails, IUnlisted


def shared_interfaces(layers: Sequence[IAssetStore]) -> Iterator[type[Interface]]:
    """Yield the interfaces that are true of all these layers together."""

    def some(interface: type[Interface]) -> bool:
        return any(interface.providedBy(layer) for layer in layers)

    def every(interface: type[Interface]) -> bool:
        return all(interface.providedBy(layer) for layer in layers)

    if every(IRedirects):
        yield IRedirects
    if every(IThumbnails) and not some(IPreviews):
        yield IThumbnails
    elif some(IThumbnails):
        yield IPreviews
    yield from (each for each in (IImageService, IUnlisted) if some(each))
