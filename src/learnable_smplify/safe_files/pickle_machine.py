"""A pickle's instructions, executed within a budget on inert records (`pickle_records`) in place of every name."""

from __future__ import annotations

import gc
import io
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, NoReturn

from learnable_smplify.safe_files.budget import Budget, check_key, check_keys, shown
from learnable_smplify.safe_files.pickle_records import Call, Record, RefusedError, stand_in

# What Python needs [bytes] for an instruction's result and, beyond that, for what some of them make.
_EVERY, _CONTAINER, _SET, _MEMO, _ENTRY = 32, 88, 216, 80, 100
_MAX_PROTOCOL = 5


# The unpickler in C reads ahead, past where joblib's arrays begin, and cannot be stopped; the one in Python can.
class PickleMachine(pickle._Unpickler):
    """Executes pickles of one stream; each `load` reads one.

    Args:
        stream: where the instructions are.
        budget: what the values may cost.
        find: the stand-in for a module and a name.
    """

    dispatch: ClassVar[Any] = dict(pickle._Unpickler.dispatch)
    stack: list[Any]
    memo: dict[int, Any]
    read: Callable[[int], bytes]
    readline: Callable[[], bytes]
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, stream: io.BytesIO, budget: Budget, find: Callable[[str, str], Any] = stand_in) -> None:
        super().__init__(stream, encoding="latin1")
        self._stream, self._budget, self._find = stream, budget, find
        self._size = stream.getbuffer().nbytes

    def load(self) -> Any:
        """The next value of the stream.

        Raises:
            RefusedError: a name that is no data.
            TooMuchError: beyond the budget.
            Exception: nearly any, where bytes are damaged.
        """
        self._unframer = pickle._Unframer(self._stream.read, self._stream.readline)  # type: ignore[attr-defined]
        self.read, self.readline = self._unframer.read, self._unframer.readline
        self.metastack: list[list[Any]] = []
        self.stack, self.proto = [], 0
        self.append = self.stack.append
        with _no_collection():
            return self._executed()

    def _executed(self) -> Any:
        read, dispatch, budget = self.read, self.dispatch, self._budget
        while True:
            code = read(1)
            if not code:
                raise EOFError("the file ends too early")
            budget.left -= _COST[code[0]]
            if budget.left < 0:
                budget.refuse()
            if code == pickle.STOP:
                return self.stack.pop()
            execute = dispatch.get(code[0])
            if execute is None:
                raise ValueError(f"unknown instruction at byte {self._stream.tell()}")
            execute(self)

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for a name."""
        return self._find(module, name)

    def persistent_load(self, pid: Any) -> Any:
        """Data that lies outside the pickle: none here."""
        raise RefusedError("a persistent object")

    def load_proto(self) -> None:
        self.proto = self.read(1)[0]
        if self.proto > _MAX_PROTOCOL:
            raise ValueError(f"protocol {self.proto} is not known")

    def load_binbytes8(self) -> None:
        self.append(self._counted())

    def load_binunicode8(self) -> None:
        self.append(str(self._counted(), "utf-8", "surrogatepass"))

    def load_bytearray8(self) -> None:
        self.append(bytearray(self._counted()))

    def _counted(self) -> bytes:
        size = int.from_bytes(self.read(8), "little")
        if size > self._size:
            raise ValueError(f"{size} bytes are promised, the file ends too early")
        return self.read(size)

    def load_put(self) -> None:
        place = int(self.readline()[:20])
        self._put(place)

    def load_long_binput(self) -> None:
        self._put(int.from_bytes(self.read(4), "little"))

    def _put(self, place: int) -> None:
        if not 0 <= place <= self._size:
            raise ValueError(f"a reference number of {place}")
        self.memo[place] = self.stack[-1]

    def load_append(self) -> None:
        self._list([self.stack.pop()])

    def load_appends(self) -> None:
        self._list(self.pop_mark())

    def _list(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise ValueError(f"items for {shown(self.stack[-1])}")
        self.stack[-1].extend(items)

    def load_dict(self) -> None:
        items = self.pop_mark()
        self.append({})
        self._entries(items)

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._entries([key, value])

    def load_setitems(self) -> None:
        self._entries(self.pop_mark())

    def _entries(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict or len(items) % 2:
            raise ValueError(f"entries for {shown(target)}")
        self._budget.spend(_ENTRY * (len(items) // 2))
        for place in range(0, len(items), 2):
            target[check_key(items[place])] = items[place + 1]

    def load_additems(self) -> None:
        items = self.pop_mark()
        if type(self.stack[-1]) is not set:
            raise ValueError(f"members for {shown(self.stack[-1])}")
        check_keys(items)
        self._budget.spend(_ENTRY * len(items))
        self.stack[-1].update(items)

    def load_frozenset(self) -> None:
        items = self.pop_mark()
        check_keys(items)
        self._budget.spend(_ENTRY * len(items))
        self.append(frozenset(items))

    def load_reduce(self) -> None:
        arguments = self.stack.pop()
        self.stack[-1] = self._made(self.stack[-1], arguments)

    def load_newobj(self) -> None:
        arguments, kind = self.stack.pop(), self.stack.pop()
        if not isinstance(kind, type):
            raise RefusedError(f"a new object of {shown(kind)}")
        self.append(self._made(kind, arguments))

    def _instantiate(self, kind: Any, arguments: Any) -> None:
        self.append(self._made(kind, tuple(arguments)))

    def _made(self, kind: Any, arguments: Any) -> Any:
        if type(arguments) is not tuple:
            raise ValueError(f"arguments in {shown(arguments)}")
        if not (isinstance(kind, Call) or (isinstance(kind, type) and issubclass(kind, Record))):
            raise RefusedError(f"a call of {shown(kind)}")
        # A call copies what it is given, and may be given the same again and again.
        self._budget.spend(8 * len(arguments) + sum(map(_copied, arguments)))
        return kind(*arguments)

    def load_build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Record):
            target.state = state
        elif type(target) is not dict:  # the attributes of an OrderedDict are of no use here
            raise ValueError(f"a state for {shown(target)}")

    def refuse(self) -> NoReturn:
        """An instruction that data has no use for: keyword arguments, extension codes, buffers outside the file."""
        raise RefusedError("an instruction that data has no use for")

    for _code, _handler in (
        (pickle.PROTO, load_proto),
        (pickle.BINBYTES8, load_binbytes8),
        (pickle.BINUNICODE8, load_binunicode8),
        (pickle.BYTEARRAY8, load_bytearray8),
        (pickle.PUT, load_put),
        (pickle.LONG_BINPUT, load_long_binput),
        (pickle.APPEND, load_append),
        (pickle.APPENDS, load_appends),
        (pickle.DICT, load_dict),
        (pickle.SETITEM, load_setitem),
        (pickle.SETITEMS, load_setitems),
        (pickle.ADDITEMS, load_additems),
        (pickle.FROZENSET, load_frozenset),
        (pickle.REDUCE, load_reduce),
        (pickle.NEWOBJ, load_newobj),
        (pickle.BUILD, load_build),
        (pickle.EXT1, refuse),
        (pickle.EXT2, refuse),
        (pickle.EXT4, refuse),
        (pickle.NEWOBJ_EX, refuse),
        (pickle.NEXT_BUFFER, refuse),
        (pickle.READONLY_BUFFER, refuse),
    ):
        dispatch[_code[0]] = _handler


@contextmanager
def _no_collection() -> Iterator[None]:
    """Millions of young containers, all in use, make the garbage collector two thirds of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _copied(value: Any) -> int:
    if isinstance(value, str | bytes | bytearray):
        return len(value)
    if isinstance(value, set | frozenset | dict):
        return _ENTRY * len(value)
    return 8 * len(value) if isinstance(value, list | tuple) else 0


_COST = [_EVERY] * 256
for _names, _bytes in (
    ("EMPTY_LIST EMPTY_DICT LIST DICT TUPLE TUPLE1 TUPLE2 TUPLE3 MARK NEWOBJ REDUCE", _CONTAINER),
    ("EMPTY_SET FROZENSET", _SET),
    ("PUT BINPUT LONG_BINPUT MEMOIZE", _MEMO),
):
    for _name in _names.split():
        _COST[getattr(pickle, _name)[0]] += _bytes
