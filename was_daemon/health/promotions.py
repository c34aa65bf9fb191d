"""How far stores in layers have come with their promotions."""

from collections.abc import Mapping

from was_daemon.model.composition import IPromoter, PromotionState
from was_daemon.model.interfaces import IAssetStore


def promotions(stores: Mapping[str, IAssetStore]) -> dict[str, PromotionState]:
    """Return how far the stores that promote by themselves have come in this process, by name."""
    return {name: IPromoter(store).promotions for name, store in stores.items() if IPromoter.providedBy(store)}


def promotion_warnings(found: Mapping[str, PromotionState]) -> list[str]:
    """Return what an operator should know of promotions."""
    return [
        f"store {name}: nothing is promoted at the moment: {state.problem}"
        for name, state in found.items()
        if state.problem
    ]
