"""Facts with their day, kind and source.

from chares.facts import load
facts = load()
facts.get("h100-sxm", "memory_bandwidth")
facts.get("h100-sxm", "rental_price", on=date(2025, 3, 1))
"""

from chares.facts.documents import Node, read_document
from chares.facts.files import read_table
from chares.facts.lookup import Facts, load
from chares.facts.records import Fact, Source, Subject

__all__ = ["Fact", "Facts", "Node", "Source", "Subject", "load", "read_document", "read_table"]
