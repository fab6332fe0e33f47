"""The exchanges the sandbox speaks for: every module of `sandbox.exchanges` that defines EXCHANGE.

Does not belong here: anything of one exchange.
"""

from importlib import import_module
from pkgutil import iter_modules

from funding_pipeline.sandbox import exchanges
from funding_pipeline.sandbox.wire import Exchange


def _found() -> dict[str, Exchange]:
    modules = [
        import_module(f"{exchanges.__name__}.{m.name}") for m in iter_modules(exchanges.__path__)
    ]
    served = [module.EXCHANGE for module in modules if hasattr(module, "EXCHANGE")]
    return {exchange.name: exchange for exchange in served}


EXCHANGES: dict[str, Exchange] = _found()
