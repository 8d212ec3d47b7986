"""The product index on tantivy."""

from torg.contexts.catalog.adapters.index_tantivy.index import TantivyProductIndex as TantivyProductIndex
