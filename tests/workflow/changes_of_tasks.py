"""Ways of changing code: the task itself, and classes. Each is a small project, with ``VALUE`` where the change is: 1 before, 2 after."""

from __future__ import annotations

TASKS = {
    "body": "def task(ctx): return VALUE",
    "async body": "async def task(ctx): return VALUE",
    "docstring": "def task(ctx):\n    'VALUE'\n    return task.__doc__",
    "default": "def task(ctx, x=VALUE): return x",
    "default that is computed": "def f(): return VALUE\ndef task(ctx, x=f()): return x",
    "keyword default": "def task(ctx, *, x=VALUE): return x",
    "closure": "def make(x):\n    def inner(ctx): return x\n    return inner\ntask = make(VALUE)",
    "closure in a closure": """
        def make(x):
            def helper(): return x
            def inner(ctx): return helper()
            return inner
        task = make(VALUE)
        """,
    "nested function": "def task(ctx):\n    def inner(): return VALUE\n    return inner()",
    "lambda": "task = lambda ctx: VALUE",
    "comprehension": "def task(ctx): return [VALUE for _ in 'a'][0]",
    "generator": "def task(ctx): return next(VALUE for _ in 'a')",
    "match": "def task(ctx):\n    match VALUE:\n        case 1: return 'one'\n        case _: return 'other'",
    "f-string": "def task(ctx): return f'is {VALUE}'",
    "format": "def task(ctx): return f'{3:0VALUEd}'",
    "annotation that is read": "def task(ctx) -> 'VALUE': return task.__annotations__['return']",
    "attribute of the function": "def task(ctx): return task.limit\ntask.limit = VALUE",
    "partial": "import functools\ndef f(x, ctx): return x\ntask = functools.partial(f, VALUE)",
    "keyword of a partial": "import functools\ndef f(ctx, x): return x\ntask = functools.partial(f, x=VALUE)",
    "partial of a partial": """
        import functools
        def g(): return VALUE
        def f(x, y, ctx): return x()
        task = functools.partial(functools.partial(f, g), 3)
        """,
    "decorator with wraps": """
        import functools
        def deco(f):
            @functools.wraps(f)
            def inner(ctx): return f(ctx) + VALUE
            return inner
        @deco
        def task(ctx): return 0
        """,
    "decorated with wraps": """
        import functools
        def deco(f):
            @functools.wraps(f)
            def inner(ctx): return f(ctx)
            return inner
        @deco
        def task(ctx): return VALUE
        """,
    "argument of a decorator": """
        import functools
        def deco(n):
            def outer(f):
                @functools.wraps(f)
                def inner(ctx): return f(ctx) + n
                return inner
            return outer
        @deco(VALUE)
        def task(ctx): return 0
        """,
    "decorator without wraps": """
        def deco(f):
            def inner(ctx): return f(ctx) + VALUE
            return inner
        @deco
        def task(ctx): return 0
        """,
    "decorated without wraps": """
        def deco(f):
            def inner(ctx): return f(ctx)
            return inner
        @deco
        def task(ctx): return VALUE
        """,
    "decorator that is a class": """
        class deco:
            def __init__(self, f): self.f = f
            def __call__(self, ctx): return self.f(ctx)
        @deco
        def task(ctx): return VALUE
        """,
    "cached": "import functools\n@functools.cache\ndef task(ctx): return VALUE",
    "execute": "class task:\n    def execute(self, ctx): return VALUE",
    "instance": "class T:\n    def __init__(s, x): s.x = x\n    def execute(s, ctx): return s.x\ntask = T(VALUE)",
    "call": "class T:\n    def __call__(s, ctx): return VALUE\ntask = T()",
    "bound method": """
        class T:
            def __init__(self, x): self.x = x
            def go(self, ctx): return self.x
        task = T(VALUE).go
        """,
    "class method": "class T:\n    k = VALUE\n    @classmethod\n    def go(cls, ctx): return cls.k\ntask = T.go",
    "static method": "class T:\n    @staticmethod\n    def go(ctx): return VALUE\ntask = T.go",
    "class attribute": "class task:\n    k = VALUE\n    def execute(self, ctx): return self.k",
    "class attribute that is computed": "K = VALUE\nclass task:\n    k = [K]\n    def execute(self, ctx): return self.k",
    "class attribute set afterwards": """
        class task:
            k = 0
            def execute(self, ctx): return self.k
        task.k = VALUE
        """,
    "class attribute new afterwards": "class task:\n    def execute(self, ctx): return self.k\ntask.k = VALUE",
    "class attribute set by setattr": """
        class task:
            def execute(self, ctx): return self.k
        setattr(task, "k", VALUE)
        """,
    "class attribute set in a loop": """
        class task:
            def execute(self, ctx): return self.k
        for name, value in {"k": VALUE}.items():
            setattr(task, name, value)
        """,
    "class attribute set by a function": """
        def init(cls): cls.k = VALUE
        class Helper: pass
        init(Helper)
        def task(ctx): return Helper.k
        """,
    "helper's class attribute set afterwards": """
        class Helper:
            k = []
        Helper.k = [VALUE]
        def task(ctx): return Helper.k
        """,
    "method set afterwards": """
        class Helper: pass
        def f(self): return VALUE
        Helper.go = f
        def task(ctx): return Helper().go()
        """,
    "base class": "class B:\n    def go(s): return VALUE\nclass task(B):\n    def execute(s, ctx): return s.go()",
    "base class of elsewhere": {
        "flow.py": "import bases\nclass task(bases.B):\n    def execute(s, ctx): return s.go()",
        "bases.py": "class B:\n    def go(self): return VALUE",
    },
    "mixin": """
        class M:
            def go(self): return VALUE
        class B: pass
        class task(B, M):
            def execute(self, ctx): return self.go()
        """,
    "metaclass": """
        class Meta(type):
            @property
            def k(cls): return VALUE
        class task(metaclass=Meta):
            def execute(self, ctx): return type(self).k
        """,
    "class decorator": """
        def deco(cls):
            cls.go = lambda self: VALUE
            return cls
        @deco
        class task:
            def execute(self, ctx): return self.go()
        """,
    "class keyword": """
        class B:
            def __init_subclass__(cls, k): cls.k = k
        class task(B, k=VALUE):
            def execute(self, ctx): return self.k
        """,
    "property": "class task:\n    @property\n    def x(s): return VALUE\n    def execute(s, ctx): return s.x",
    "cached property": """
        import functools
        class task:
            @functools.cached_property
            def x(self): return VALUE
            def execute(self, ctx): return self.x
        """,
    "descriptor": """
        class D:
            def __get__(self, instance, owner): return VALUE
        class task:
            x = D()
            def execute(self, ctx): return self.x
        """,
    "value of a descriptor": """
        class D:
            def __init__(self, v): self.v = v
            def __get__(self, instance, owner): return self.v
        class task:
            x = D(VALUE)
            def execute(self, ctx): return self.x
        """,
    "__getattr__ of a class": "class K:\n    def __getattr__(s, n): return VALUE\ndef task(ctx): return K().any",
    "slots": "class task:\n  __slots__ = ('x',)\n  def __init__(s): s.x = VALUE\n  def execute(s, ctx): return s.x",
    "dataclass": """
        import dataclasses
        @dataclasses.dataclass
        class C:
            x: int = VALUE
        def task(ctx): return C().x
        """,
    "factory of a dataclass": """
        import dataclasses
        def f(): return VALUE
        @dataclasses.dataclass
        class C:
            x: int = dataclasses.field(default_factory=f)
        def task(ctx): return C().x
        """,
    "attrs": "import attrs\n@attrs.define\nclass task:\n    x: int = VALUE\n    def execute(self, ctx): return self.x",
    "attrs factory": """
        import attrs
        def f(): return VALUE
        @attrs.define
        class C:
            x: int = attrs.field(factory=f)
        def task(ctx): return C().x
        """,
    "enum": "import enum\nclass E(enum.Enum):\n    A = VALUE\ndef task(ctx): return E.A.value",
    "method of an enum": "import enum\nclass E(enum.Enum):\n  A = 1\n  def f(s): return VALUE\ndef task(ctx): return E.A.f()",
    "named tuple": "import typing\nclass P(typing.NamedTuple):\n    a: int = VALUE\ndef task(ctx): return P().a",
    "class made by type": "K = type('K', (), {'k': VALUE})\ndef task(ctx): return K.k",
    "class made by a function": "def make(x):\n    class K:\n        k = x\n    return K\nK = make(VALUE)\ndef task(ctx): return K.k",
    "exception": "class E(Exception):\n    code = VALUE\ndef task(ctx):\n    try: raise E\n    except E as e: return e.code",
    "__init_subclass__": """
        class B:
            known = []
            def __init_subclass__(cls): B.known.append(cls)
        class A(B):
            k = VALUE
        def task(ctx): return [cls.k for cls in B.known]
        """,
    "__subclasses__": """
        class B: pass
        class A(B):
            k = VALUE
        def task(ctx): return [cls.k for cls in B.__subclasses__()]
        """,
    "__subclasses__ in a method": """
        class B:
            @classmethod
            def make(cls): return cls.__subclasses__()[0].k
        class A(B):
            k = VALUE
        def task(ctx): return B.make()
        """,
    "__set_name__": """
        class D:
            def __set_name__(self, owner, name): owner.k = VALUE
        class K:
            x = D()
        def task(ctx): return K.k
        """,
}
