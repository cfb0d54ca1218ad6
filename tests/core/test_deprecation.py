from __future__ import annotations

import sys
from types import ModuleType

import pytest

from graphkit.core.config import Configurable
from graphkit.core.deprecation import RenamedAttribute, renamed_members


def test_an_old_member_of_a_module_is_the_new_one_and_warns(monkeypatch):
    module, value = ModuleType("pkg"), object()
    monkeypatch.setitem(sys.modules, "pkg", module)
    module.__dict__["__getattr__"] = {"New": value}.__getitem__  # made when it is asked for
    get = renamed_members(vars(module), {"Old": "New"})
    with pytest.warns(FutureWarning, match=r"pkg\.Old is now New"):
        assert get("Old") is value
    with pytest.raises(AttributeError, match="'pkg' has no attribute 'Other'"):
        get("Other")


def test_an_old_attribute_of_a_class_is_the_new_one_and_warns():
    class Thing:
        new = 3
        old = RenamedAttribute("new")

        def method(self):
            return self.new

        former = RenamedAttribute("method")

    with pytest.warns(FutureWarning, match=r"Thing\.old is now new"):
        assert Thing.old == 3
    with pytest.warns(FutureWarning, match=r"Thing\.former is now method"):
        assert Thing().former() == 3


def test_a_subclass_may_still_use_the_old_name_of_its_base():
    class Base(Configurable):
        def new(self):
            return 1

        old = RenamedAttribute("new")

    with pytest.warns(FutureWarning, match=r"Own\.old is now new"):

        class Own(Base):
            def old(self):
                return 2

    assert Own().new() == 2
