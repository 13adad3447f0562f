"""Kernels that other kernels call are optimized for their callers, and get neither machine code nor a wrapper.

numba makes of every function that it compiles a finished library: machine code, and a wrapper that takes its arguments
from Python. Code that a caller takes over is the optimized code of LLVM, so where only kernels call a function, both
are made for nobody. They are a third of the time that kernels under rules take to compile.

So a kernel has two kinds of results: one per signature that Python calls, as numba makes it, and one per signature that
kernels call. The code of the function itself is the same in both.
"""

import types
from typing import Any

from llvmlite.binding import parse_bitcode
from numba.core import event
from numba.core.caching import NullCache
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, compile_result
from numba.core.compiler_lock import global_compiler_lock
from numba.core.dispatcher import _FunctionCompiler  # type: ignore[attr-defined]
from numba.core.errors import ForceLiteralArg
from numba.core.registry import CPUDispatcher
from numba.core.typing.templates import make_concrete_template


class LinkedLibrary(JITCodeLibrary):
    """The optimized code of a function and of what it calls, for linking: no machine code is made of it."""

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True

    def serialize_using_object_code(self) -> tuple[str, str, bytes]:
        """What `CompileResult._reduce` keeps of a library: here code of LLVM alone."""
        self._ensure_finalized()
        return self.name, "linked", self._get_module_for_linking().as_bitcode()

    @classmethod
    def restored(cls, codegen: Any, state: tuple[str, str, bytes]) -> "LinkedLibrary":
        """The library of a serialized state."""
        library = cls(codegen, state[0])
        library._final_module = parse_bitcode(state[2])
        library._finalize_final_module()
        return library


class _LinkedPipeline(Compiler):
    """numba's own passes, to a library of ours."""

    def _compile_core(self) -> Any:
        state = self.state
        state.library = LinkedLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        return super()._compile_core()


class _LinkedCompiler(_FunctionCompiler):
    """numba's compiler of a function, without what Python needs to call it."""

    def _customize_flags(self, flags: Any) -> Any:
        flags.no_compile = True
        flags.no_cpython_wrapper = True
        return flags


class _Key:
    """Where numba has a function that Python can call: linked code is only ever found by it."""


class KernelDispatcher(CPUDispatcher):
    """numba's dispatcher for calls from Python; callers that are compiled get linked results.

    `linked_cache` is to the linked results what numba's `_cache` is to the others.
    """

    _compiler: Any  # numba's, for calls from Python

    def __init__(
        self, py_func: types.FunctionType, locals: Any = None, targetoptions: Any = None, pipeline_class: Any = Compiler
    ) -> None:
        super().__init__(py_func, locals, targetoptions, pipeline_class)
        self.linked_cache: Any = NullCache()
        self._linked: dict[tuple[Any, ...], Any] = {}
        self._linker = _LinkedCompiler(py_func, self.targetdescr, self.targetoptions, self.locals, _LinkedPipeline)

    def compile(self, sig: Any) -> Any:
        """The function that Python calls, as numba's own: what is linked into it has an environment, too."""
        known = len(self.overloads)
        compiled = super().compile(sig)
        if len(self.overloads) > known:
            result: Any = next(reversed(self.overloads.values()))
            for environment in result._find_referenced_environments():
                result.library.codegen.set_env(environment.env_name, environment)
        return compiled

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """The signature for a caller's arguments, as numba's own; but this result is for linking."""
        pysig, args = self._compiler.fold_argument_types(args, kws)
        signature = self._for_callers(tuple(args)).signature
        name = self.py_func.__name__
        template = make_concrete_template(f"CallTemplate({name})", key=name, signatures=[signature])
        return template, pysig, args, {}

    def get_overload(self, sig: Any) -> Any:
        """By what a caller finds the code for these types."""
        return self._for_callers(tuple(sig)).entry_point

    def _for_callers(self, args: tuple[Any, ...]) -> Any:
        with global_compiler_lock:
            # What Python calls already has been optimized, too.
            found = self._linked.get(args) or self.overloads.get(args)
            if found is None:
                found = self.linked_cache.load_overload(args, self.targetctx) or self._link(args)
                self.targetctx.insert_user_function(found.entry_point, found.fndesc, [found.library])
                self._linked[args] = found
            return found

    def _link(self, args: tuple[Any, ...]) -> Any:
        details = {"dispatcher": self, "args": args, "return_type": None}
        with self._compiling_counter, event.trigger_event("numba:compile", data=details):
            try:
                compiled = self._linker.compile(args, None)
            except ForceLiteralArg as error:
                raise error.bind_fold_arguments(
                    lambda args, kws: self._compiler.fold_argument_types(args, kws)[1]
                ) from None
            compiled.library._ensure_finalized()
        self.linked_cache.save_overload(args, compiled)
        return compiled._replace(entry_point=_Key())

    @staticmethod
    def rebuild_linked(target_context: Any, libdata: Any, fndesc: Any, env: Any, *rest: Any) -> Any:
        """As `CompileResult._rebuild`, of a linked result."""
        signature, objectmode, lifted, annotation, reload_init, environments = rest
        for initialize in reload_init:
            initialize()
        entries: dict[str, Any] = {
            "typing_context": target_context.typing_context, "target_context": target_context, "entry_point": _Key(),
            "type_annotation": annotation, "signature": signature, "objectmode": objectmode, "lifted": lifted,
            "fndesc": fndesc, "library": LinkedLibrary.restored(target_context.codegen(), libdata), "environment": env,
            "reload_init": reload_init, "referenced_envs": environments, "typing_error": None,
        }  # fmt: skip
        return compile_result(**entries)
