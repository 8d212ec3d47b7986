"""The product index on Elasticsearch."""

from torg.contexts.catalog.adapters.index_elastic.connection import Address as Address
from torg.contexts.catalog.adapters.index_elastic.connection import BadAddress as BadAddress
from torg.contexts.catalog.adapters.index_elastic.index import ElasticProductIndex as ElasticProductIndex
from torg.contexts.catalog.adapters.index_elastic.state import Patience as Patience
