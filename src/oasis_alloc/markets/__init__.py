"""Generated markets for demonstrations, tests and benchmarks: seeded, numpy only, made block by block.

Block `k` of a market depends on the parameters and on `k` alone, never on the blocks before it, so a
billion pairs can be made by many workers, or one after the other in bounded memory, and are the same pairs.
"""

from oasis_alloc.markets.market import Market as Market
from oasis_alloc.markets.market import MarketBlock as MarketBlock
from oasis_alloc.markets.matching import Matching as Matching
from oasis_alloc.markets.matching import matching as matching
from oasis_alloc.markets.month import Month as Month
from oasis_alloc.markets.month import month as month
