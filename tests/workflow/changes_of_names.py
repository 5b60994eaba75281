"""Ways of changing code: what a module's names are bound to, and what a task holds. Each is a small project, with ``VALUE`` where the change is: 1 before, 2 after."""

from __future__ import annotations

NAMES = {
    "helper": "def helper(): return VALUE\ndef task(ctx): return helper()",
    "helper of a helper": "def a(): return VALUE\ndef b(): return a()\ndef task(ctx): return b()",
    "helper after the task": "def task(ctx): return helper()\ndef helper(): return VALUE",
    "recursion": "def even(n): return n == 0 or odd(n - 1)\ndef odd(n): return n == VALUE - 1\ndef task(ctx): return even(2)",
    "constant": "LIMIT = VALUE\ndef task(ctx): return LIMIT",
    "constant of a constant": "BASE = VALUE\nLIMIT = [BASE]\ndef task(ctx): return LIMIT",
    "annotated constant": "LIMIT: int = VALUE\ndef task(ctx): return LIMIT",
    "unpacked constants": "A, B = 0, VALUE\ndef task(ctx): return B",
    "walrus": "A = [B := VALUE]\ndef task(ctx): return B",
    "augmented constant": "A = 1\nA += VALUE\ndef task(ctx): return A",
    "constant of a call": "def f(): return VALUE\nLIMIT = f()\ndef task(ctx): return LIMIT",
    "loop variable": "for x in [VALUE]: pass\ndef task(ctx): return x",
    "with": "import contextlib\nwith contextlib.nullcontext(VALUE) as x: pass\ndef task(ctx): return x",
    "table": "TABLE = {'a': VALUE}\ndef task(ctx): return TABLE['a']",
    "table that is filled": "TABLE = {}\nTABLE['a'] = VALUE\ndef task(ctx): return TABLE['a']",
    "table that is updated": "TABLE = {}\nTABLE.update(a=VALUE)\ndef task(ctx): return TABLE['a']",
    "table that is filled in a loop": "TABLE = {}\nfor k in 'ab':\n    TABLE[k] = VALUE\ndef task(ctx): return TABLE['a']",
    "table that is filled by a function": """
        TABLE = {}
        def fill(): TABLE['a'] = VALUE
        fill()
        def task(ctx): return TABLE['a']
        """,
    "table that is handed to a function": """
        TABLE = {}
        def fill(table): table['a'] = VALUE
        fill(TABLE)
        def task(ctx): return TABLE['a']
        """,
    "alias": "def f(): return VALUE\ng = f\ndef task(ctx): return g()",
    "lambda in a dict": "TABLE = {'a': lambda: VALUE}\ndef task(ctx): return TABLE['a']()",
    "function in a dict": "def f(): return VALUE\nTABLE = {'a': f}\ndef task(ctx): return TABLE['a']()",
    "conditional function": "if VALUE == 1:\n    def f(): return 1\nelse:\n    def f(): return 2\ndef task(ctx): return f()",
    "import that is tried": "try:\n    import nothing_here as x\nexcept ImportError:\n    x = VALUE\ndef task(ctx): return x",
    "global": "def init():\n    global X\n    X = VALUE\ninit()\ndef task(ctx): return X",
    "docstring of the module": "'VALUE'\ndef task(ctx): return __doc__",
    "partial helper": "import functools\nh = functools.partial(max, VALUE)\ndef task(ctx): return h(0)",
    "cached helper": "import functools\n@functools.lru_cache\ndef f(): return VALUE\ndef task(ctx): return f()",
    "context manager": """
        import contextlib
        @contextlib.contextmanager
        def f(): yield VALUE
        def task(ctx):
            with f() as x: return x
        """,
    "generator helper": "def f(): yield VALUE\ndef task(ctx): return list(f())",
    "instance of the module": """
        class Model:
            def __init__(self, k): self.k = k
            def go(self): return self.k
        MODEL = Model(VALUE)
        def task(ctx): return MODEL.go()
        """,
    "bound method of the module": """
        class Model:
            def go(self): return VALUE
        go = Model().go
        def task(ctx): return go()
        """,
    "attribute of an instance set afterwards": """
        import types
        S = types.SimpleNamespace()
        S.k = VALUE
        def task(ctx): return S.k
        """,
    "method of an instance replaced": """
        class Model:
            def go(self): return 0
        MODEL = Model()
        def f(): return VALUE
        setattr(MODEL, "go", f)
        def task(ctx): return MODEL.go()
        """,
    "singledispatch": """
        import functools
        @functools.singledispatch
        def f(x): return 0
        @f.register
        def _(x: int): return VALUE
        def task(ctx): return f(3)
        """,
    "singledispatch by a name": """
        import functools
        @functools.singledispatch
        def f(x): return 0
        def g(x): return VALUE
        f.register(int, g)
        def task(ctx): return f(3)
        """,
    "registry": """
        KNOWN = {}
        def register(f):
            KNOWN[f.__name__] = f
            return f
        @register
        def f(): return VALUE
        def task(ctx): return KNOWN["f"]()
        """,
    "registry of classes": """
        KNOWN = []
        def register(cls):
            KNOWN.append(cls)
            return cls
        @register
        class K:
            k = VALUE
        def task(ctx): return KNOWN[0].k
        """,
    "registry that is an object": """
        class Registry:
            def __init__(self): self.known = {}
            def register(self, f):
                self.known[f.__name__] = f
                return f
        R = Registry()
        @R.register
        def f(): return VALUE
        def task(ctx): return R.known["f"]()
        """,
    "registry in a closure": """
        def make():
            known = []
            def register(f):
                known.append(f)
                return f
            def call(): return known[0]()
            return register, call
        register, call = make()
        @register
        def f(): return VALUE
        def task(ctx): return call()
        """,
    "subclass registry of a base": """
        class B:
            known = {}
            def __init_subclass__(cls): B.known[cls.__name__] = cls
        class A(B):
            def go(self): return VALUE
        def task(ctx): return B.known["A"]().go()
        """,
    "exec": "exec('def f(): return VALUE')\ndef task(ctx): return f()",
    "exec in the task": "def task(ctx):\n    found = {}\n    exec('x = VALUE', found)\n    return found['x']",
    "eval": "def f(): return VALUE\ndef task(ctx): return eval('f()')",
    "globals()": "def f(): return VALUE\ndef task(ctx): return globals()['f']()",
    "globals() in a helper": "def f(): return VALUE\ndef get(n): return globals()[n]\ndef task(ctx): return get('f')()",
    "globals() of a function": "def f(): return VALUE\ndef task(ctx): return task.__globals__['f']()",
    "sys.modules": "import sys\ndef f(): return VALUE\ndef task(ctx): return sys.modules[__name__].f()",
    "from sys import modules": "from sys import modules\ndef f(): return VALUE\ndef task(ctx): return modules[__name__].f()",
    "getattr of the own module": "import flow\ndef f(): return VALUE\ndef task(ctx): return getattr(flow, 'f')()",
    "frame": "import inspect\ndef f(): return VALUE\ndef task(ctx): return inspect.currentframe().f_globals['f']()",
    "type alias that is read": "import typing\nL = typing.Literal[VALUE]\ndef task(ctx): return L.__args__[0]",
    "template that is read": {
        "flow.py": "from pathlib import Path\nTEXT = Path(__file__).with_name('t.txt').read_text()\ndef task(ctx): return TEXT",
        "t.txt": "text VALUE",
    },
    "table that is read": {
        "flow.py": "import json\nwith open('t.json') as file:\n    TABLE = json.load(file)\ndef task(ctx): return TABLE",
        "t.json": '{"a": [VALUE]}',
    },
    "template that a helper reads": {
        "flow.py": """
            def read(name):
                with open(name) as file:
                    return file.read()
            TEXT = read('t.txt')
            def task(ctx): return TEXT
            """,
        "t.txt": "text VALUE",
    },
    "template beside it that a helper reads": {
        "flow.py": """
            import os
            def text():
                with open(os.path.join(os.path.dirname(__file__), 't.txt')) as file:
                    return file.read()
            TEXT = text()
            def task(ctx): return TEXT
            """,
        "t.txt": "text VALUE",
    },
    "settings beside it that a class reads": {
        "flow.py": """
            from pathlib import Path
            HERE = Path(__file__).parent
            class Settings:
                def __init__(self, path): self.take(path)
                def take(self, path): self.text = path.read_text()
            SETTINGS = Settings(HERE / 't.txt')
            def task(ctx): return SETTINGS.text
            """,
        "t.txt": "text VALUE",
    },
    "template that is read by another name": {
        "flow.py": """
            import os, helper
            TEXT = helper.text(os.getcwd())
            def task(ctx): return bool(helper.other) and TEXT
            """,
        "helper.py": """
            def text(folder):
                with open(f"{folder}/t.txt") as file:
                    return file.read()
            other = [text]
            """,
        "t.txt": "text VALUE",
    },
    "class that could read a file": """
        import numpy
        class Model:
            def __init__(self):
                self.numbers = numpy.random.default_rng(3)
                with open('log', 'a'): pass
            def load(self):
                with open('other') as file: return file.read()
            def f(self): return VALUE
        MODEL = Model()
        def task(ctx): return MODEL.f()
        """,
    "array that a helper reads": {
        "flow.py": """
            import array
            def numbers():
                with open("t.txt") as file:
                    return [int(line) for line in file]
            DATA = array.array("i", numbers())
            def task(ctx): return DATA[0]
            """,
        "t.txt": "VALUE",
    },
    "member that is read": {
        "flow.py": "import enum, pathlib\nclass E(enum.Enum):\n    A = pathlib.Path('t.txt').read_text()\ndef task(ctx): return E.A.value",
        "t.txt": "VALUE",
    },
    "random numbers in a closure": """
        import random
        def make(rng): return lambda ctx: rng.random()
        task = make(random.Random(VALUE))
        """,
    "numpy's random numbers in a closure": """
        import numpy
        def make(rng): return lambda ctx: rng.random()
        task = make(numpy.random.default_rng(VALUE))
        """,
    "count in a closure": """
        import itertools
        def make(numbers): return lambda ctx: next(numbers)
        task = make(itertools.count(VALUE))
        """,
    "deque in a closure": """
        import collections
        def make(items): return lambda ctx: items[0]
        task = make(collections.deque([VALUE]))
        """,
    "bytes that can be changed": "DATA = bytearray([VALUE])\ndef task(ctx): return bytes(DATA)[0]",
    "template in a closure": """
        import string
        def make(template): return lambda ctx: template.template
        task = make(string.Template("VALUE"))
        """,
    "many numbers": "DATA = [n * VALUE for n in range(5000)]\ndef task(ctx): return DATA[1]",
    "many numbers that are read": {
        "flow.py": "import json, pathlib\nDATA = json.loads(pathlib.Path('d.json').read_text())\ndef task(ctx): return DATA[0]",
        "d.json": "[" + ", ".join(["VALUE"] * 2000) + "]",
    },
    "settings that a function changes": """
        class Settings:
            rate = 0
        S = Settings()
        def main(): S.rate = VALUE
        main()
        def task(ctx): return S.rate
        """,
    "method with arguments": """
        import functools
        class K:
            def f(self, x): return x
            g = functools.partialmethod(f, VALUE)
        def task(ctx): return K().g()
        """,
    "method made of a function": """
        import types
        class K: pass
        def f(self): return VALUE
        K1 = K()
        K1.f = types.MethodType(f, K1)
        def task(ctx): return K1.f()
        """,
    "context variable": """
        import contextvars
        V = contextvars.ContextVar("v", default=VALUE)
        def task(ctx): return V.get()
        """,
    "default of a named tuple": """
        import collections
        P = collections.namedtuple("P", "a", defaults=[VALUE])
        def task(ctx): return P().a
        """,
    "protocol": """
        import typing
        class P(typing.Protocol):
            def go(self) -> int: return VALUE
        class K(P): pass
        def task(ctx): return K().go()
        """,
    "abstract class": """
        import abc
        class B(abc.ABC):
            @abc.abstractmethod
            def go(self): return VALUE
        class K(B):
            def go(self): return super().go()
        def task(ctx): return K().go()
        """,
    "operator of a class": "class K:\n    def __add__(self, x): return VALUE\ndef task(ctx): return K() + 1",
    "iterator": "class K:\n    def __iter__(self): yield VALUE\ndef task(ctx): return list(K())",
    "string of code": "import textwrap\nCODE = 'VALUE'\ndef task(ctx): return eval(CODE)",
    "decorator that keeps the function": """
        def mark(function):
            function.limit = VALUE
            return function
        @mark
        def task(ctx): return task.limit
        """,
    "module made of parts": {
        "flow.py": "import helper\ndef task(ctx): return helper.deep.X",
        "helper.py": "import deep",
        "deep.py": "X = VALUE",
    },
    "import in a class": {
        "flow.py": "class task:\n    from helper import f\n    def execute(self, ctx): return task.f()",
        "helper.py": "def f(): return VALUE",
    },
    "reset by the caller": """
        LIMIT = 0
        def configure(): globals()["LIMIT"] = VALUE
        configure()
        def task(ctx): return LIMIT
        """,
}
