#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Hold lines of portlog -j against docs/schema/portlog-1.schema.json. Prints TAP.

check-schema.py [FILE...]       every line of each FILE (- or none: standard input) is a valid event
check-schema.py --paths FILE    the schema has exactly the fields whose paths are in FILE, one a line
check-schema.py --examples FILE as FILE, and there is one for each action
check-schema.py --ecs           no name that is a leaf here is an object in ECS, nor the reverse
check-schema.py --schema FILE   what follows is held against this one
check-schema.py --some-paths FILE  as --paths, but the schema may have fewer

For the tests the schema is closed: a field that it does not know is an error, which it is not for other readers.
"""
import copy
import json
import os
import re
import sys

SCHEMA = os.path.join(os.path.dirname(__file__), "..", "docs", "schema", "portlog-1.schema.json")
LINE_MAX = 4096
SHOWN_MAX = 10
# What a terminal would obey, or what shows text in another order than it has.
HARMFUL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")

# Objects of the Elastic Common Schema, where a document with a plain value of that name would be refused.
ECS_OBJECTS = set("""
    agent client cloud code_signature container data_stream destination device dll dns ecs elf email entity error event
    faas file geo group hash host http interface labels log macho network observer orchestrator organization os package
    pe process registry related risk rule server service source span threat tls trace transaction url user user_agent
    vlan volume vulnerability x509
    container.cpu container.disk container.image container.memory container.network
    process.attested_groups process.attested_user process.code_signature process.elf process.entry_leader
    process.entry_meta process.env_vars process.group process.group_leader process.hash process.io process.macho
    process.parent process.pe process.previous process.real_group process.real_user process.responsible
    process.saved_group process.saved_user process.session_leader process.supplemental_groups process.thread
    process.tty process.user
""".split())
# Values of ECS that may not become objects here.
ECS_LEAVES = set("""
    message tags container.id container.name container.runtime process.args process.command_line process.executable
    process.exit_code process.name process.pid process.start process.title process.uptime process.working_directory
""".split())

n_checks = 0
n_failed = 0


def report(ok, what, *notes):
    global n_checks, n_failed
    n_checks += 1
    n_failed += not ok
    print(f"{'ok' if ok else 'not ok'} {n_checks} - {what}")
    for note in notes[:SHOWN_MAX]:
        print("# " + str(note).replace("\n", " "))
    if len(notes) > SHOWN_MAX:
        print(f"# ... and {len(notes) - SHOWN_MAX} more")


def closed(schema):
    """The schema with no room for fields that it does not name."""
    schema = copy.deepcopy(schema)
    for objects in [schema] + list(schema["$defs"].values()):
        close(objects)
    return schema


def close(node):
    if not isinstance(node, dict):
        return
    if node.get("type") == "object":
        node["additionalProperties"] = False
        for child in node["properties"].values():
            close(child)
    close(node.get("items"))


def walk(schema, properties, prefix=""):
    """Yield (path, is it an object) for all that an event can have; entries of lists are no paths of their own."""
    for name, node in properties.items():
        path = prefix + name
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
        if "properties" in node:
            yield path, True
            yield from walk(schema, node["properties"], path + ".")
        else:
            yield path, False


def no_twins(pairs):
    names = [name for name, _ in pairs]
    if len(names) != len(set(names)):
        raise ValueError("a name twice in one object: " + ", ".join(n for n in names if names.count(n) > 1))
    return dict(pairs)


def empty_values(value, path="$"):
    """Paths of null, "" and {} in value: unknown is said by leaving out. An argument may be empty."""
    if value is None or value == {} or (value == "" and not re.search(r"args\[\d+\]$", path)):
        yield path
    elif isinstance(value, dict):
        for name, child in value.items():
            yield from empty_values(child, f"{path}.{name}")
    elif isinstance(value, list):
        for i, child in enumerate(value):
            yield from empty_values(child, f"{path}[{i}]")


def faults(validator, line):
    """What is wrong with one line, bytes with its newline."""
    if "seq" in validator.schema["required"] and len(line) > LINE_MAX:
        yield f"{len(line)} bytes"
    if not line.endswith(b"\n"):
        yield "no newline at its end"
    try:
        text = line.decode("utf-8")
        event = json.loads(text, object_pairs_hook=no_twins)
    except ValueError as error:
        yield str(error)
        return
    if HARMFUL.search(text):
        yield f"an unescaped U+{ord(HARMFUL.search(text).group()):04X}"
    for path in empty_values(event):
        yield f"{path}: empty"
    for error in validator.iter_errors(event):
        yield f"{error.json_path}: {error.message[:200]}"


def check_lines(validator, name, stream):
    notes, actions, number = [], set(), 0
    for number, line in enumerate(stream, 1):
        found = list(faults(validator, line))
        notes += [f"line {number}: {fault}" for fault in found]
        if not found:
            actions.add(json.loads(line).get("action"))
    report(not notes and number > 0, f"{name}: {number} events", *notes)
    return actions


def check_file(validator, path):
    if path == "-":
        return check_lines(validator, "standard input", sys.stdin.buffer)
    with open(path, "rb") as stream:
        return check_lines(validator, os.path.basename(path), stream)


def check_examples(validator, schema, path):
    missing = set(schema["properties"]["action"]["enum"]) - check_file(validator, path)
    report(not missing, "an example of each action", *sorted(missing))


def check_paths(schema, path):
    with (sys.stdin if path == "-" else open(path, encoding="utf-8")) as stream:
        fields = set(stream.read().split())
    known = {path for path, is_object in walk(schema, schema["properties"]) if not is_object}
    report(fields == known, f"the schema has all {len(fields)} fields and no other",
           *(["not in the schema: " + p for p in sorted(fields - known)] +
             ["no such field: " + p for p in sorted(known - fields)]))


def check_some_paths(schema, path):
    with (sys.stdin if path == "-" else open(path, encoding="utf-8")) as stream:
        fields = set(stream.read().split())
    known = {path for path, is_object in walk(schema, schema["properties"]) if not is_object}
    report(known <= fields, "every field of the schema is one of the program's",
           *("no such field: " + p for p in sorted(known - fields)))


def with_events(schema):
    """The schema with that of events in it, where it refers to that."""
    if schema.get("$defs", {}).get("event") != {"$ref": "urn:portlog:schema:1"}:
        return schema
    with open(SCHEMA, encoding="utf-8") as stream:
        events = json.load(stream)
    schema["$defs"].update(events.pop("$defs"))
    schema["$defs"]["event"] = {name: value for name, value in events.items() if not name.startswith("$")}
    return schema


def load(path):
    import jsonschema
    with open(path, encoding="utf-8") as stream:
        schema = with_events(json.load(stream))
    jsonschema.Draft202012Validator.check_schema(schema)
    return schema, jsonschema.Draft202012Validator(closed(schema))


def check_ecs(schema):
    clashes = [path for path, is_object in walk(schema, schema["properties"])
               if path in (ECS_LEAVES if is_object else ECS_OBJECTS)]
    report(not clashes, "no leaf here is an object in ECS, nor the reverse", *clashes)


def main(args):
    try:
        import jsonschema  # noqa: F401
    except ImportError:
        print("1..1\nok 1 - schema # SKIP python3-jsonschema is not installed")
        return 0
    schema, validator = load(SCHEMA)
    args = args or ["-"]
    while args:
        option = args.pop(0)
        if option == "--schema":
            schema, validator = load(args.pop(0))
        elif option == "--some-paths":
            check_some_paths(schema, args.pop(0))
        elif option == "--paths":
            check_paths(schema, args.pop(0))
        elif option == "--examples":
            check_examples(validator, schema, args.pop(0))
        elif option == "--ecs":
            check_ecs(schema)
        else:
            check_file(validator, option)
    print(f"1..{n_checks}")
    return n_failed > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
