"""What the catalogue does. The tables are the index."""

from __future__ import annotations

from torg.contexts.catalog import contracts as c
from torg.contexts.catalog.handlers import reactions, reading, searching, staff
from torg.contexts.inventory.contracts import StockChanged, StocksChanged
from torg.contexts.review.contracts import RatingChanged
from torg.kit.calls import Handlers

HANDLERS: Handlers = {
    c.GetOffers: reading.get_offers,
    c.GetProduct: reading.get_product,
    c.ListProductsById: reading.list_products_by_id,
    c.ListCategories: reading.list_categories,
    c.ListShelf: reading.list_shelf,
    c.Recommend: reading.recommend,
    c.ListProducts: searching.list_products,
    c.Suggest: searching.suggest,
    c.GetSynonyms: searching.get_synonyms,
    c.SetSynonyms: searching.set_synonyms,
    c.RebuildIndex: searching.rebuild_index,
    c.AddProduct: staff.add_product,
    c.ChangeProduct: staff.change_product,
    c.WithdrawProduct: staff.withdraw_product,
    c.ImportProducts: staff.import_products,
    c.DefineCategories: staff.define_categories,
}

REACTIONS: Handlers = {
    StockChanged: reactions.on_stock_changed,
    StocksChanged: reactions.on_stocks_changed,
    RatingChanged: reactions.on_rating_changed,
}
