"""Python sources as trees."""

import ast
from collections.abc import Iterator


def statements(source: str | ast.Module) -> Iterator[ast.stmt]:
    """Every statement of a text or a tree, at any depth; expressions, most of a tree, are passed over.

    >>> [type(node).__name__ for node in statements("try:\\n    import a\\nfinally:\\n    def f(): return 1")]
    ['Try', 'Import', 'FunctionDef', 'Return']
    """
    left: list[ast.AST] = [ast.parse(source) if isinstance(source, str) else source]
    while left:
        node = left.pop()
        if isinstance(node, ast.stmt):
            yield node
        for name in ("finalbody", "orelse", "handlers", "cases", "body"):
            below = getattr(node, name, ())
            if isinstance(below, list):  # not the expression of a lambda or of a condition
                left += reversed(below)
