"""What the store does with resources, by calls of the API: search, describe, create, delete, and tell addresses."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from posixpath import splitext
from typing import Any

from was_daemon.model.errors import AssetNotFound, BadName, StoreFailed, StoreUnavailable
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.stores.http.client import HTTPRemote
from was_daemon.stores.resourcespace.api import API
from was_daemon.stores.resourcespace.files import absolute
from was_daemon.stores.resourcespace.names import adopted_name, key_of, phrase, value_of
from was_daemon.stores.resourcespace.options import ResourceSpaceOptions
from was_daemon.stores.resourcespace.resources import Resource, values_of

_PAGE = 200


class DAM:
    """The resources of one ResourceSpace that count: those that its user made, and those that are adopted."""

    def __init__(
        self,
        options: ResourceSpaceOptions,
        base: str,
        api: API,
        remote: Callable[[], HTTPRemote],
        abandoned: Callable[[Resource], None],
    ) -> None:
        """Make the resources of the ResourceSpace at `base`.

        `abandoned` is told of every resource of the daemon's user without a file that is come across.
        """
        self._options = options
        self._base = base
        self._api = api
        self._remote = remote
        self._abandoned = abandoned
        self._user: int | None = None
        self._numbers: dict[str, int] = {}
        """Numbers of metadata fields by their short names, as they became known."""

    async def ask(self, function: str, **arguments: Any) -> Any:
        """Call a function that only reads."""
        return await self._api.ask(self._remote(), function, **arguments)

    async def act(self, function: str, **arguments: Any) -> Any:
        """Call a function that changes something."""
        return await self._api.act(self._remote(), function, **arguments)

    # -- finding -------------------------------------------------------------------------------------------------------

    async def find(self, key: AssetKey) -> Resource:
        """Fire with the resource that is the current version of an asset; raises `AssetNotFound`."""
        for resource in await self.versions(key):
            return resource
        adopted = await self.adopted(key)
        if adopted is None:
            raise AssetNotFound("no such asset")
        return adopted

    async def versions(self, key: AssetKey) -> list[Resource]:
        """Fire with the resources of an asset that the daemon's user made, the newest first.

        There are several after a process was killed, or while others write: the first one is the asset.
        """
        value, user, field = value_of(key), await self.user(), self._options.name_field
        found = []
        async with aclosing(self.search(phrase(field, value))) as resources:
            async for resource in resources:
                if resource.created_by != user:
                    continue
                if not resource.has_file:
                    self._abandoned(resource)
                elif await self.has_value(resource, field, value):
                    found.append(resource)
        return sorted(found, key=lambda resource: -resource.ref)

    async def adopted(self, key: AssetKey) -> Resource | None:
        """Fire with the resource of others that has the name of an original, None if there is none.

        Raises `StoreFailed` if several have it.
        """
        field = self._options.adopt_field
        if not field or key.collection or key.kind is not Kind.ORIGINAL:
            return None
        user, found = await self.user(), []
        async with aclosing(self.search(phrase(field, splitext(key.name)[0]))) as resources:
            async for resource in resources:
                if resource.created_by == user or not resource.has_file:
                    continue
                if adopted_name(await self.value(resource, field) or "", resource.extension) == key.name:
                    found.append(resource)
        if len(found) > 1:
            refs = ", ".join(str(resource.ref) for resource in found)
            raise StoreFailed("several resources have this name", f"resources {refs} have the same {field}: {key.name}")
        return found[0] if found else None

    async def listed(self) -> AsyncGenerator[tuple[AssetKey, Resource], None]:
        """Yield the assets, each with its resource; one that has several resources may be yielded several times."""
        options, user = self._options, await self.user()
        async with aclosing(self.search("" if options.adopt_field else f"!contributions{user}")) as resources:
            async for resource in resources:
                if not resource.has_file:
                    if resource.created_by == user:
                        self._abandoned(resource)
                    continue
                if resource.created_by == user:
                    key = key_of(await self.value(resource, options.name_field) or "")
                else:
                    key = await self._adopted_key(resource)
                if key:
                    yield key, resource

    async def _adopted_key(self, resource: Resource) -> AssetKey | None:
        value = await self.value(resource, self._options.adopt_field or "")
        with suppress(BadName):
            return AssetKey("", Kind.ORIGINAL, adopted_name(value or "", resource.extension)) if value else None
        return None

    async def search(self, terms: str) -> AsyncGenerator[Resource, None]:
        """Yield the resources that a search finds in the states that count, in the order of their numbers."""
        offset = last = 0
        while True:
            page = await self._page(terms, offset)
            if offset and (not page or page[0].ref > last):
                # What came before was deleted meanwhile: others have moved up.
                offset = max(0, offset - _PAGE)
                continue
            for resource in page:
                if resource.ref > last and resource.archive in self._options.counted:
                    yield resource
            last = max([last, *(resource.ref for resource in page)])
            if len(page) < _PAGE:
                return
            offset += _PAGE - 1

    async def look(self) -> None:
        """Search for something, to see whether that is possible."""
        await self._page("", 0, 1)

    async def _page(self, terms: str, offset: int, rows: int = _PAGE) -> list[Resource]:
        answer = await self.ask(
            "do_search",
            search=terms,
            order_by="resourceid",
            archive=",".join(str(state) for state in self._options.counted),
            fetchrows=f"{offset},{rows}",
            sort="asc",
        )
        if answer == []:
            return []
        if not isinstance(answer, dict) or not isinstance(answer.get("data"), list):
            raise StoreFailed(
                "the store gave no proper answer", "do_search tells no pages: this is no ResourceSpace 10.2"
            )
        return [Resource.parse(row) for row in answer["data"]]

    # -- describing ----------------------------------------------------------------------------------------------------

    async def user(self) -> int:
        """Fire with the number of the daemon's user."""
        if self._user is None:
            name = self._options.user
            told = await self.ask("get_users", find=name, exact_username_match=1)
            refs = [each.get("ref") for each in told if _is_user(each, name)] if isinstance(told, list) else []
            if not refs:
                raise StoreUnavailable(f"ResourceSpace does not tell the number of its user {name} (get_users)")
            self._user = int(refs[0])
        return self._user

    async def value(self, resource: Resource, field: str) -> str | None:
        """Fire with the value of a field, "" if it has none, None if this type of resources has no such field."""
        short = self._short_value(resource, field)
        return await self._whole_value(resource, field) if short is None else short

    async def has_value(self, resource: Resource, field: str, value: str) -> bool:
        """Fire with whether a field has this value, also where a search's result tells only the beginning of it."""
        short = self._short_value(resource, field)
        if short is not None and (short == value or not value.startswith(short)):
            return short == value
        return await self._whole_value(resource, field) == value

    def _short_value(self, resource: Resource, field: str) -> str | None:
        return resource.short_value(self._numbers[field]) if field in self._numbers else None

    async def _whole_value(self, resource: Resource, field: str) -> str | None:
        values = values_of(await self.ask("get_resource_field_data", resource=resource.ref))
        self._numbers |= {name: number for name, (number, _value) in values.items()}
        return values[field][1] if field in values else None

    def tells_name(self, resource: Resource, key: AssetKey) -> bool:
        """Return whether a search's result tells the value of the field with the name of an asset, all of it."""
        number = self._numbers.get(self._options.name_field)
        return number is not None and resource.short_value(number) == value_of(key)

    async def described(self, ref: int) -> Resource | None:
        """Fire with a resource, in whatever state it is; None if there is none."""
        data = await self.ask("get_resource_data", resource=ref)
        return None if data is False or data is None else Resource.parse(data)

    async def address(self, resource: Resource) -> str:
        """Fire with the absolute address of a resource's file."""
        told = await self.ask("get_resource_path", ref=resource.ref, size="", extension=resource.extension)
        return absolute(self._base, told)

    # -- changing ------------------------------------------------------------------------------------------------------

    async def create(self, key: AssetKey) -> int:
        """Create a resource without a file, which is no asset yet; fire with its number."""
        options = self._options
        ref = await self.act("create_resource", resource_type=options.resource_type, archive=options.archive)
        if not isinstance(ref, int) or isinstance(ref, bool):
            raise StoreUnavailable(
                f"ResourceSpace created no resource: its user {options.user} needs the permissions c and"
                f" e{options.archive}, and there must be a resource type {options.resource_type}"
            )
        return ref

    async def name(self, ref: int, key: AssetKey) -> None:
        """Give a new resource the name of an asset, and put it into the collection of the settings."""
        options = self._options
        if await self.act("update_field", resource=ref, field=options.name_field, value=value_of(key)) is not True:
            raise StoreUnavailable(
                f"ResourceSpace did not change the field {options.name_field}: resources of the type"
                f" {options.resource_type} need it, and the user {options.user} may have to be allowed to edit it"
            )
        if options.collection is not None:
            added = await self.act("add_resource_to_collection", resource=ref, collection=options.collection)
            if added is not True:
                raise StoreUnavailable(f"ResourceSpace did not add the resource to its collection {options.collection}")

    async def delete(self, ref: int) -> None:
        """Delete a resource, with `purge` for ever; what is deleted otherwise is in a state that does not count."""
        await self._delete(ref)
        left = await self.described(ref)
        if left and self._options.purge:
            await self._delete(ref)
            left = await self.described(ref)
        if left and (left.archive in self._options.counted or self._options.purge):
            raise StoreFailed("the store did not delete the asset", f"resource {ref} is in the state {left.archive}")

    async def _delete(self, ref: int) -> None:
        if await self.act("delete_resource", resource=ref) is not True:
            user = self._options.user
            raise StoreUnavailable(f"ResourceSpace did not delete resource {ref}: {user} may not, or it is locked")


def _is_user(told: Any, name: str) -> bool:
    return isinstance(told, dict) and str(told.get("username")).casefold() == name.casefold() and bool(told.get("ref"))
