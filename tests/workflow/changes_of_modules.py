"""Ways of changing code: other modules, and what an installed library's object carries. Each is a small project, with ``VALUE`` where the change is: 1 before, 2 after."""

from __future__ import annotations

CARRIER = """
    class Task:
        def __init__(self, function): self.function = function
        def execute(self, ctx): return self.function(ctx)
        def method(self, ctx): return self.function(ctx)
    def apply(function, ctx): return function(ctx)
    def deco(function):
        def inner(ctx): return function(ctx)
        return inner
    KNOWN = {}
    def register(function):
        KNOWN[function.__name__] = function
        return function
    class Registry:
        def __init__(self): self.known = {}
        def register(self, function):
            self.known[function.__name__] = function
            return function
"""

TABLE = """
    class Table:
        known = {}
        @classmethod
        def add(cls, name, value): cls.known[name] = value
    def get(name): return Table.known[name]
"""

STATE = """
    class Context: x = 0
    def context(): return Context
    def put(x): Context.x = x
    def get(): return Context.x
    """

MODULES = {
    "module": {"flow.py": "import helper\ndef task(ctx): return helper.f()", "helper.py": "def f(): return VALUE"},
    "constant of a module": {"flow.py": "import helper\ndef task(ctx): return helper.X", "helper.py": "X = VALUE"},
    "from import": {
        "flow.py": "from helper import f as g\ndef task(ctx): return g()",
        "helper.py": "def f(): return VALUE",
    },
    "from import of a constant": {
        "flow.py": "from helper import X\ndef task(ctx): return X",
        "helper.py": "X = [VALUE]",
    },
    "star import": {"flow.py": "from helper import *\ndef task(ctx): return f()", "helper.py": "def f(): return VALUE"},
    "star import of a constant": {"flow.py": "from helper import *\ndef task(ctx): return X", "helper.py": "X = VALUE"},
    "lazy import": {
        "flow.py": "def task(ctx):\n    import helper\n    return helper.f()",
        "helper.py": "def f(): return VALUE",
    },
    "lazy import of a lazy import": {
        "flow.py": "def task(ctx):\n    from a import f\n    return f()",
        "a.py": "def f():\n    from b import g\n    return g()",
        "b.py": "def g(): return VALUE",
    },
    "module of a module": {
        "flow.py": "import a\ndef task(ctx): return a.f()",
        "a.py": "from b import g\ndef f(): return g()",
        "b.py": "def g(): return VALUE",
    },
    "package": {
        "flow.py": "import pkg.inner\ndef task(ctx): return pkg.inner.f()",
        "pkg/__init__.py": "",
        "pkg/inner.py": "from . import deep\ndef f(): return deep.X",
        "pkg/deep.py": "X = VALUE",
    },
    "name that a package passes on": {
        "flow.py": "from pkg import f\ndef task(ctx): return f()",
        "pkg/__init__.py": "from .inner import *\n__all__ = ['f']",
        "pkg/inner.py": "from .deep import X\ndef f(): return X",
        "pkg/deep.py": "X = VALUE",
    },
    "package of the task": {
        "flow.py": "from pkg.sub.tasks import task",
        "pkg/__init__.py": "",
        "pkg/sub/__init__.py": "",
        "pkg/sub/tasks.py": "from ..helper import f\ndef task(ctx): return f()",
        "pkg/helper.py": "def f(): return VALUE",
    },
    "lazy import in a package": {
        "flow.py": "from pkg.tasks import task",
        "pkg/__init__.py": "",
        "pkg/tasks.py": "def task(ctx):\n    from . import helper\n    return helper.X",
        "pkg/helper.py": "X = VALUE",
    },
    "namespace package": {
        "flow.py": "from pkg.helper import f\ndef task(ctx): return f()",
        "pkg/helper.py": "def f(): return VALUE",
    },
    "package of the repository": {
        "flow.py": "import sys, os\nsys.path[:0] = ['scripts']\nfrom go import task",
        "scripts/go.py": "import mypkg\ndef task(ctx): return mypkg.f()",
        "src/mypkg/__init__.py": "from .core import f",
        "src/mypkg/core.py": "def f(): return VALUE",
    },
    "lazy import of the repository": {
        "flow.py": "import sys, os\nsys.path[:0] = ['scripts']\nfrom go import task",
        "scripts/go.py": "def task(ctx):\n    from mypkg import core\n    return core.f()",
        "src/mypkg/__init__.py": "",
        "src/mypkg/core.py": "from . import deep\ndef f(): return deep.X",
        "src/mypkg/deep.py": "X = VALUE",
    },
    "getattr of a module": {
        "flow.py": "import helper\ndef task(ctx): return getattr(helper, 'f')()",
        "helper.py": "def f(): return VALUE",
    },
    "vars of a module": {
        "flow.py": "import helper\ndef task(ctx): return vars(helper)['f']()",
        "helper.py": "def f(): return VALUE",
    },
    "__dict__ of a module": {
        "flow.py": "import helper\ndef task(ctx): return helper.__dict__['f']()",
        "helper.py": "def f(): return VALUE",
    },
    "module in a table": {
        "flow.py": "import helper\nTABLE = {'a': helper}\ndef task(ctx): return TABLE['a'].f()",
        "helper.py": "def f(): return VALUE",
    },
    "module in a variable": {
        "flow.py": "import helper\ndef task(ctx):\n    h = helper\n    return h.f()",
        "helper.py": "def f(): return VALUE",
    },
    "__getattr__ of a module": {
        "flow.py": "import helper\ndef task(ctx): return helper.anything",
        "helper.py": "def __getattr__(name): return VALUE",
    },
    "from import by __getattr__": {
        "flow.py": "from helper import anything\ndef task(ctx): return anything",
        "helper.py": "def __getattr__(name):\n    if name == 'anything': return [VALUE]\n    raise AttributeError(name)",
    },
    "import_module": {
        "flow.py": "import importlib\ndef task(ctx): return importlib.import_module('helper').f()",
        "helper.py": "def f(): return VALUE",
    },
    "import_module by another name": {
        "flow.py": "from importlib import import_module as get\ndef task(ctx): return get('helper').f()",
        "helper.py": "def f(): return VALUE",
    },
    "import_module that is imported late": {
        "flow.py": "def task(ctx):\n    import importlib\n    return importlib.import_module('helper').f()",
        "helper.py": "def f(): return VALUE",
    },
    "import_module of a package's": {
        "flow.py": "import importlib\ndef task(ctx): return importlib.import_module('.helper', 'pkg').f()",
        "pkg/__init__.py": "",
        "pkg/helper.py": "def f(): return VALUE",
    },
    "import_module of a computed name": {
        "flow.py": "import importlib\ndef task(ctx): return importlib.import_module('help' + 'er').f()",
        "helper.py": "def f(): return VALUE",
    },
    "import_module at the top": {
        "flow.py": "import importlib\nHELPER = importlib.import_module('helper')\ndef task(ctx): return HELPER.f()",
        "helper.py": "def f(): return VALUE",
    },
    "import_module in a helper": {
        "flow.py": "import a\ndef task(ctx): return a.get('helper').f()",
        "a.py": "import importlib\ndef get(name): return importlib.import_module(name)",
        "helper.py": "def f(): return VALUE",
    },
    "__import__": {
        "flow.py": "def task(ctx): return __import__('helper').f()",
        "helper.py": "def f(): return VALUE",
    },
    "runpy": {
        "flow.py": "import runpy\ndef task(ctx): return runpy.run_path('helper.py')['X']",
        "helper.py": "X = VALUE",
    },
    "module from a file": {
        "flow.py": """
            import importlib.util
            def task(ctx):
                spec = importlib.util.spec_from_file_location("any", "helper.py")
                module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
                return module.X
            """,
        "helper.py": "X = VALUE",
    },
    "entry point": {
        "flow.py": """
            from importlib.metadata import EntryPoint, entry_points
            def task(ctx): return [*entry_points(group="none"), EntryPoint("f", "helper:f", "none")][0].load()()
            """,
        "helper.py": "def f(): return VALUE",
    },
    "pkgutil": {
        "flow.py": "import pkgutil\ndef task(ctx): return pkgutil.resolve_name('helper:f')()",
        "helper.py": "def f(): return VALUE",
    },
    "registry of another module": {
        "flow.py": "import helper\nfrom registry import KNOWN\ndef task(ctx): return KNOWN['f']()",
        "registry.py": "KNOWN = {}\ndef register(f):\n    KNOWN[f.__name__] = f\n    return f",
        "helper.py": "from registry import register\n@register\ndef f(): return VALUE",
    },
    "registry that a module names": {
        "flow.py": "import registry, helper\ndef task(ctx): return registry.KNOWN['f']()",
        "registry.py": "KNOWN = {}\ndef register(f):\n    KNOWN[f.__name__] = f\n    return f",
        "helper.py": "from registry import register\n@register\ndef f(): return VALUE",
    },
    "registry that a function reads": {
        "flow.py": "import registry, helper\ndef task(ctx): return registry.get('f')()",
        "registry.py": "KNOWN = {}\ndef register(f):\n    KNOWN[f.__name__] = f\n    return f\ndef get(n): return KNOWN[n]",
        "helper.py": "from registry import register\n@register\ndef f(): return VALUE",
    },
    "module replaced from outside": {
        "flow.py": "import helper\ndef f(): return VALUE\nhelper.f = f\ndef task(ctx): return helper.g()",
        "helper.py": "def f(): return 0\ndef g(): return f()",
    },
    "constant replaced from outside": {
        "flow.py": "import helper\nhelper.X = VALUE\ndef task(ctx): return helper.g()",
        "helper.py": "X = 0\ndef g(): return X",
    },
    "table replaced from outside": {
        "flow.py": "import helper\nhelper.X = [VALUE]\ndef task(ctx): return helper.g()",
        "helper.py": "X = []\ndef g(): return X",
    },
    "table replaced by a third module": {
        "flow.py": "import helper, patches\ndef task(ctx): return helper.g()",
        "helper.py": "X = []\ndef g(): return X",
        "patches.py": "import helper\nhelper.X = [VALUE]",
    },
    "class changed by a third module": {
        "flow.py": "import helper, patches\ndef task(ctx): return helper.K.k",
        "helper.py": "class K: k = 0",
        "patches.py": "import helper\nhelper.K.k = VALUE",
    },
    "table filled by a third module": {
        "flow.py": "import helper, patches\ndef task(ctx): return helper.X['a']",
        "helper.py": "X = {}",
        "patches.py": "from helper import X\nX['a'] = VALUE",
    },
    "class filled by a third module": {
        "flow.py": "import helper, entries\ndef task(ctx): return helper.get('a')",
        "helper.py": TABLE,
        "entries.py": "import helper\nhelper.Table.add('a', VALUE)",
    },
    "class filled above the task": {
        "flow.py": "from helper import Table, get\nTable.add('a', VALUE)\ndef task(ctx): return get('a')",
        "helper.py": TABLE,
    },
    "__init_subclass__ in a third module": {
        "flow.py": "import helper, entries\ndef task(ctx): return helper.Base.total",
        "helper.py": "class Base:\n    total = 0\n    def __init_subclass__(cls, weight): Base.total += weight",
        "entries.py": "import helper\nclass Made(helper.Base, weight=VALUE): pass",
    },
    "shell command": """
        from molexp.workflow import WorkflowBuilder
        wf = WorkflowBuilder("w")
        wf.shell("task", ["sh", "-c", "exit $((VALUE - VALUE)); : VALUE"])
        """,
    "shell command function": """
        from molexp.workflow import WorkflowBuilder
        wf = WorkflowBuilder("w")
        def command(ctx):
            ctx.set_result("x", VALUE)
            return ["true"]
        wf.shell("task", command)
        """,
    "shell outputs": """
        from molexp.workflow import WorkflowBuilder
        wf = WorkflowBuilder("w")
        wf.shell("task", ["touch", "a1", "a2"], outputs={"a": "aVALUE"})
        """,
    "shell environment": """
        from molexp.workflow import WorkflowBuilder
        wf = WorkflowBuilder("w")
        wf.shell("task", ["true"], env={"A": "VALUE"})
        """,
    "task of a library": {
        "flow.py": "import library\ndef f(ctx): return VALUE\ntask = library.Task(f)",
        "site-packages/library.py": CARRIER,
    },
    "lambda of a library's task": {
        "flow.py": "import library\ntask = library.Task(lambda ctx: VALUE)",
        "site-packages/library.py": CARRIER,
    },
    "helper of a library's task": {
        "flow.py": "import library\nfrom helper import g\ndef f(ctx): return g()\ntask = library.Task(f)",
        "helper.py": "X = VALUE\ndef g(): return X",
        "site-packages/library.py": CARRIER,
    },
    "task of a library in a task of a library": {
        "flow.py": "import library\ndef f(ctx): return VALUE\ntask = library.Task(library.Task(f).execute)",
        "site-packages/library.py": CARRIER,
    },
    "method of a library's task": {
        "flow.py": "import library\ndef f(ctx): return VALUE\ntask = library.Task(f).method",
        "site-packages/library.py": CARRIER,
    },
    "partial of a library's function": {
        "flow.py": "import library, functools\ndef f(ctx): return VALUE\ntask = functools.partial(library.apply, f)",
        "site-packages/library.py": CARRIER,
    },
    "library's decorator without wraps": {
        "flow.py": "import library\n@library.deco\ndef task(ctx): return VALUE",
        "site-packages/library.py": CARRIER,
    },
    "library's decorator on a helper": {
        "flow.py": "import library\n@library.deco\ndef f(ctx): return VALUE\ndef task(ctx): return f(ctx)",
        "site-packages/library.py": CARRIER,
    },
    "library's decorator on a helper of elsewhere": {
        "flow.py": "from helper import f\ndef task(ctx): return f(ctx)",
        "helper.py": "import library\n@library.deco\ndef f(ctx): return VALUE",
        "site-packages/library.py": CARRIER,
    },
    "library's object of the module": {
        "flow.py": "import library\ndef f(ctx): return VALUE\nT = library.Task(f)\ndef task(ctx): return T.execute(ctx)",
        "site-packages/library.py": CARRIER,
    },
    "library's object in a closure": {
        "flow.py": """
            import library
            def f(ctx): return VALUE
            def make(carrier): return lambda ctx: carrier.execute(ctx)
            task = make(library.Task(f))
            """,
        "site-packages/library.py": CARRIER,
    },
    "library's registry": {
        "flow.py": """
            import library
            R = library.Registry()
            @R.register
            def f(): return VALUE
            def task(ctx): return R.known["f"]()
            """,
        "site-packages/library.py": CARRIER,
    },
    "library's registry of another module": {
        "flow.py": "import helper, registry\ndef task(ctx): return registry.R.known['f']()",
        "registry.py": "import library\nR = library.Registry()",
        "helper.py": "from registry import R\n@R.register\ndef f(): return VALUE",
        "site-packages/library.py": CARRIER,
    },
    "registry of a library": {
        "flow.py": "import library\n@library.register\ndef f(): return VALUE\ndef task(ctx): return library.KNOWN['f']()",
        "site-packages/library.py": CARRIER,
    },
    "registry that is imported from a library": {
        "flow.py": """
            from library import KNOWN, register
            @register
            def f(): return VALUE
            def task(ctx): return KNOWN["f"]()
            """,
        "site-packages/library.py": CARRIER,
    },
    "object of a library's in a closure": {
        "flow.py": """
            import library
            def make(known): return lambda ctx: known.function
            task = make(library.Task(VALUE))
            """,
        "site-packages/library.py": CARRIER,
    },
    "object of a library's in a partial": {
        "flow.py": """
            import functools, library
            def f(known, ctx): return known.function
            task = functools.partial(f, library.Task({"a": [VALUE]}))
            """,
        "site-packages/library.py": CARRIER,
    },
    "subclass of a library's": {
        "flow.py": "import library\nclass T(library.Task):\n    k = VALUE\ntask = T(lambda ctx: task.k)",
        "site-packages/library.py": CARRIER,
    },
    "numpy.vectorize": "import numpy\ndef f(x): return VALUE\ng = numpy.vectorize(f)\ndef task(ctx): return int(g([1])[0])",
    "state of a library": {
        "flow.py": "import library\nfrom library import get\nlibrary.put(VALUE)\ndef task(ctx): return get()",
        "site-packages/library.py": STATE,
    },
    "state of a library by a name": {
        "flow.py": "from library import get, put\nSEED = VALUE\nput(SEED)\ndef task(ctx): return get()",
        "site-packages/library.py": STATE,
    },
    "state of a library by another module": {
        "flow.py": "import begin\nfrom library import get\ndef task(ctx): return get()",
        "begin.py": "import library\nif True:\n    library.put(VALUE)",
        "site-packages/library.py": STATE,
    },
    "state of a library by what it returns": {
        "flow.py": "import library\nfrom library import get\nlibrary.context().x = VALUE\ndef task(ctx): return get()",
        "site-packages/library.py": STATE,
    },
}
