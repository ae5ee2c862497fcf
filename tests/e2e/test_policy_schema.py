"""conf/policy.schema.json, which editors use, says what the loader says.

Every policy of the cases that loads is valid. Every one with an error is not, but for those that no schema can know:
they are listed in tests/cases/policy-schema/only_the_loader_knows, each with why, and each must really be valid.
"""

import json
import re

import pytest
import yaml

jsonschema = pytest.importorskip("jsonschema")

from lib import paths

CASES = paths.SOURCE / "tests" / "cases"
SCHEMA = json.loads((paths.SOURCE / "conf" / "policy.schema.json").read_text())


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Scalars as YAML 1.2's core schema has them, which editors use; PyYAML's own are those of 1.1."""

    yaml_implicit_resolvers = {}


Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789"))
Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+\.[0-9]+$"), list("-+0123456789"))
Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:null|)$"), ["n", ""])


def no_duplicates(loader, node):
    keys = [key.value for key, _ in node.value]
    if not all(isinstance(key, str) for key in keys) or len(set(keys)) != len(keys):
        raise yaml.YAMLError("a key twice, or none that is text")
    return loader.construct_mapping(node, deep=True)


Loader.add_constructor("tag:yaml.org,2002:map", no_duplicates)
Loader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(node.value))


def errors_of(document):
    validator = jsonschema.Draft7Validator(SCHEMA)
    return [f"{'/'.join(str(p) for p in e.absolute_path)}: {e.message[:200]}" for e in validator.iter_errors(document)]


def load(path):
    return yaml.load(path.read_bytes(), Loader)


def only_the_loader_knows():
    rows = (CASES / "policy-schema" / "only_the_loader_knows").read_text().splitlines()
    return {row.split()[0] for row in rows if row and not row.startswith("#")}


GOOD = sorted((CASES / "policy").glob("*/policy.yaml"))
BAD = sorted((CASES / "policy-errors").glob("*.yaml"))
BAD.remove(CASES / "policy-errors" / "a_yaml_bomb.yaml")  # PyYAML would unfold it


def test_the_schema_is_one():
    jsonschema.Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", GOOD + [paths.SOURCE / "conf" / "examples" / "policy.yaml"], ids=lambda p: p.parent.name)
def test_a_policy_that_loads_is_valid(path):
    assert not errors_of(load(path))


@pytest.mark.parametrize("path", BAD, ids=lambda p: p.stem)
def test_an_error_is_one_for_the_schema_too(path):
    try:
        document = load(path)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        assert path.stem not in only_the_loader_knows()
        return
    assert bool(errors_of(document)) != (path.stem in only_the_loader_knows())


def test_the_list_names_cases_that_are_there():
    assert only_the_loader_knows() <= {path.stem for path in BAD}
