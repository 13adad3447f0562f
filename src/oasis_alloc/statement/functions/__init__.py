"""Concave functions of totals, one per file."""

from oasis_alloc.statement.functions.band import Band as Band
from oasis_alloc.statement.functions.base import BoundFunction as BoundFunction
from oasis_alloc.statement.functions.base import Function as Function
from oasis_alloc.statement.functions.base import PriceBox as PriceBox
from oasis_alloc.statement.functions.soft import Soft as Soft
from oasis_alloc.statement.functions.soft import soft as soft
