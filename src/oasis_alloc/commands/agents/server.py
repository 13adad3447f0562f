"""The server: tools and the guide over standard input and output, with the SDK of the Model Context Protocol."""

from __future__ import annotations

import json
import logging
import threading
from importlib.resources import files
from typing import Any

import oasis_alloc
from oasis_alloc.commands.agents.documents import Document
from oasis_alloc.commands.agents.parameters import schema
from oasis_alloc.commands.agents.tools import Workbench
from oasis_alloc.errors import OasisAllocError, require

GUIDE = "oasis-alloc://guide"
_INSTRUCTIONS = (
    "Allocation of promotions over all users at once, with a proof of how good the answer is. Read the resource "
    f"{GUIDE} before you write a statement. Every answer has a certificate and units: quote them with the numbers."
)
_log = logging.getLogger("oasis_alloc.mcp")


def guide() -> str:
    """The guide to stating problems, in Markdown."""
    return files("oasis_alloc.commands.agents").joinpath("GUIDE.md").read_text(encoding="utf-8")


def answered(
    workbench: Workbench, name: str, arguments: dict[str, Any], stop: threading.Event
) -> tuple[Document, bool]:
    """(what a call answers, True for an error); errors are documents with a message that a client can act on."""
    try:
        return workbench.call(name, arguments, stop.is_set), False
    except OasisAllocError as error:
        return {"error": workbench.without_folder(str(error)), "kind": type(error).__name__}, True
    except Exception as error:
        _log.exception("the tool %r failed", name)
        text = f"internal error, a fault of oasis-alloc: {type(error).__name__}. The server's standard error says more."
        return {"error": text, "kind": "internal"}, True


def run(workbench: Workbench) -> None:
    """Serve one client until it closes standard input. Raises `MissingDependencyError` without the extra `mcp`."""
    anyio, stdio = require("anyio", "mcp"), require("mcp.server.stdio", "mcp")
    server = made(workbench)

    async def serve() -> None:
        async with stdio.stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())

    anyio.run(serve)


def made(workbench: Workbench) -> Any:
    """The SDK's server object over a workbench."""
    types, lowlevel = require("mcp_types", "mcp"), require("mcp.server.lowlevel", "mcp")
    to_thread = require("anyio.to_thread", "mcp")

    async def list_tools(_context: Any, _parameters: Any) -> Any:
        return types.ListToolsResult(
            tools=[
                types.Tool(
                    name=name,
                    description=tool.meaning,
                    input_schema=schema(tool.parameters),
                    annotations=types.ToolAnnotations(read_only_hint=not tool.writes, open_world_hint=False),
                )
                for name, tool in workbench.tools.items()
            ]
        )

    async def call_tool(_context: Any, parameters: Any) -> Any:
        stop = threading.Event()
        try:  # a canceled call leaves its thread, whose solve ends at its next pass
            document, failed = await to_thread.run_sync(
                answered, workbench, parameters.name, parameters.arguments or {}, stop, abandon_on_cancel=True
            )
        finally:
            stop.set()
        text = types.TextContent(type="text", text=json.dumps(document, allow_nan=False))
        return types.CallToolResult(content=[text], structured_content=document, is_error=failed)

    async def list_resources(_context: Any, _parameters: Any) -> Any:
        about = "How to state problems: tables, measures, functions, slates, limits; and how to read answers."
        one = types.Resource(name="guide", uri=GUIDE, description=about, mime_type="text/markdown")
        return types.ListResourcesResult(resources=[one])

    async def read_resource(_context: Any, parameters: Any) -> Any:
        if str(parameters.uri) != GUIDE:
            error = require("mcp.shared.exceptions", "mcp").MCPError
            raise error(code=types.INVALID_PARAMS, message=f"there is no resource {parameters.uri}; known: {GUIDE}")
        text = types.TextResourceContents(uri=GUIDE, mime_type="text/markdown", text=guide())
        return types.ReadResourceResult(contents=[text])

    return lowlevel.Server(
        "oasis-alloc",
        version=oasis_alloc.__version__,
        instructions=_INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_read_resource=read_resource,
    )
