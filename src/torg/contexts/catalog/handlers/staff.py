"""Edits by staff, and loading in bulk."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import UNSET

from torg.contexts.catalog import contracts as c
from torg.contexts.catalog import model
from torg.contexts.catalog.handlers.reactions import after_change
from torg.contexts.catalog.ports import CatalogDeps
from torg.kit.errors import DomainError, FieldError, Invalid, NotFound, PreconditionFailed
from torg.kit.messages import Event, broken_rules
from torg.kit.store import Transaction

MOST_ROW_ERRORS = 1000


async def add_product(cmd: c.AddProduct, deps: CatalogDeps) -> c.ProductView:
    tree, now = await deps.categories.tree(), deps.clock()
    facts = {name: getattr(cmd, name) for name in model.FACTS}
    _refuse(model.faults_of(facts, tree, deps.currency))
    product = model.added(c.NewProduct(id=cmd.id or deps.new_id(), **facts), now)
    async with deps.transaction() as tx:
        if await deps.products.load(tx, [product.id]):
            raise DomainError("product.exists", f"there is a product {product.id} already: change it with PATCH")
        await deps.products.save(tx, [product])
        await tx.append(product.id, [model.added_event(product, tree.path_ids(product.category))])
        after_change(tx, [product.id], deps, edited=True)
        return await tx.answer(model.view(model.Stocked(product, model.Figures()), tree, cmd.language))


async def change_product(cmd: c.ChangeProduct, deps: CatalogDeps) -> c.ProductView:
    tree, before = await deps.categories.tree(), await deps.products.find(cmd.product_id)
    changes = {name: value for name in (*model.FACTS, "status") if (value := getattr(cmd, name)) is not UNSET}
    _refuse(model.faults_of(changes, tree, deps.currency))
    async with deps.transaction() as tx:
        product = await _edit(tx, cmd.product_id, cmd.if_versions, changes, deps)
        stocked = model.Stocked(product, before.figures if before else model.Figures())
        return await tx.answer(model.view(stocked, tree, cmd.language))


async def withdraw_product(cmd: c.WithdrawProduct, deps: CatalogDeps) -> None:
    async with deps.transaction() as tx:
        await _edit(tx, cmd.product_id, cmd.if_versions, {"status": "withdrawn"}, deps)
        return await tx.answer(None)


async def import_products(cmd: c.ImportProducts, deps: CatalogDeps) -> c.ImportReport:
    lines = cmd.lines or tuple(range(1, len(cmd.products) + 1))
    tree, now = await deps.categories.tree(), deps.clock()
    errors: list[c.RowError] = []
    good: dict[str, c.NewProduct] = {}
    for line, said in zip(lines, cmd.products, strict=True):
        if faults := _faults(said, tree, deps.currency, now):
            errors += [c.RowError(line, fault.field, fault.code, fault.detail) for fault in faults]
        else:
            good[said.id] = said  # the last one of an id holds
    bad = len({error.line for error in errors})
    async with deps.transaction() as tx:
        added, changed = await _take(tx, list(good.values()), tree, deps)
        return await tx.answer(
            c.ImportReport(
                rows=len(cmd.products), added=added, changed=changed, unchanged=len(cmd.products) - added - changed - bad, rejected=bad,
                errors=tuple(errors[:MOST_ROW_ERRORS]),
            )
        )  # fmt: skip


async def define_categories(cmd: c.DefineCategories, deps: CatalogDeps) -> None:
    before = await deps.categories.tree(fresh=True)
    tree = before.with_(cmd.categories)
    changed = [category.id for category in cmd.categories if category.id in before and tree.categories[category.id] != before.categories[category.id]]
    async with deps.transaction() as tx:
        await deps.categories.define(tx, tree, cmd.categories)
        await deps.products.renew(tx, before.below(changed) | tree.below(changed))
        await tx.append("categories", [c.CategoriesDefined(tuple(category.id for category in cmd.categories))])
        await tx.answer(None)
    deps.purge("categories", "catalog", "products")
    deps.feed.wake()


async def _take(tx: Transaction, said: Sequence[c.NewProduct], tree: model.CategoryTree, deps: CatalogDeps) -> tuple[int, int]:
    """Adds and updates; how many of each."""
    now = deps.clock()
    present = await deps.products.load(tx, [one.id for one in said])
    saved: list[model.Product] = []
    for one in said:
        before = present.get(one.id)
        events: list[Event]
        if before is None:
            product = model.added(one, now)
            events = [model.added_event(product, tree.path_ids(product.category))]
        else:
            product, events = model.brought_up_to_date(before, one, now)
        if events:
            saved.append(product)
            await tx.append(product.id, events)
    if saved:
        await deps.products.save(tx, saved)
        after_change(tx, [product.id for product in saved], deps, edited=True)
    added = sum(product.id not in present for product in saved)
    return added, len(saved) - added


async def _edit(tx: Transaction, product_id: str, if_versions: tuple[int, ...] | None, changes: dict[str, object], deps: CatalogDeps) -> model.Product:
    """Edits a product that is at one of the versions. Raises NotFound or PreconditionFailed."""
    product = (await deps.products.load(tx, [product_id])).get(product_id)
    if product is None:
        raise NotFound("product.not_found", f"there is no product {product_id}")
    if if_versions is not None and product.version not in if_versions:
        raise PreconditionFailed("product.changed", f"{product_id} is at version {product.version} now: read it again and decide anew")
    after, events = model.edited(product, changes, deps.clock())
    if events:
        await deps.products.save(tx, [after])
        await tx.append(product_id, events)
        after_change(tx, [product_id], deps, edited=True)
    return after


def _faults(said: c.NewProduct, tree: model.CategoryTree, currency: str, now: datetime) -> list[FieldError]:
    facts = {"id": said.id, "price": said.price, "old_price": said.old_price, "pictures": said.pictures, "category": said.category}
    return [*broken_rules(facts.items(), c.AddProduct.RULES, now), *model.faults_of(facts, tree, currency)]


def _refuse(faults: list[FieldError]) -> None:
    if faults:
        raise Invalid.fields(*faults)
