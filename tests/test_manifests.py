"""RBAC objects from files: what is read, what is passed over, what is refused and where."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from conformance import manifestfile
from conformance.errors import FileError, UsageError
from conformance.manifests import read

ROLE = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: r, namespace: web}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
"""
BINDING = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: b}
roleRef: {kind: Role, name: r}
subjects: [{kind: User, name: alice}]
"""


CLUSTER_ROLE = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: c}\n"


def write(folder: Path, text: str, name: str = "f.yaml") -> Path:
    file = folder / name
    file.write_text(text, "utf-8")
    return file


def test_documents_lists_and_folders_are_read(tmp_path: Path) -> None:
    write(tmp_path, f"# a comment\n---\n{ROLE}---\n---\n{BINDING}", "a.yaml")
    (tmp_path / "below").mkdir()
    write(
        tmp_path,
        '{"kind": "ClusterRoleList", "apiVersion": "rbac.authorization.k8s.io/v1",'
        ' "items": [{"metadata": {"name": "z"}}, {"metadata": {"name": "a"}}]}',
        "below/b.json",
    )
    write(
        tmp_path, "kind: Service\nmetadata: {}\n---\nkind: Role\napiVersion: other/v1\nmetadata: {name: no}\n", "c.yml"
    )
    write(tmp_path, "no YAML: [", "notes.txt")
    found = read([tmp_path], namespace="shop")
    assert [it["metadata"]["name"] for it in found.rbac.cluster_roles] == ["a", "z"]
    assert [it["metadata"] for it in found.rbac.roles] == [{"name": "r", "namespace": "web"}]
    assert [it["metadata"] for it in found.rbac.role_bindings] == [{"name": "b", "namespace": "shop"}]
    assert found.places["Role", "web", "r"] == (tmp_path / "a.yaml", 3)
    assert found.places["RoleBinding", "shop", "b"] == (tmp_path / "a.yaml", 9)


def test_the_lines_of_a_list_are_those_of_its_items(tmp_path: Path) -> None:
    item = "- kind: ClusterRole\n  apiVersion: rbac.authorization.k8s.io/v1\n  metadata: {name: NAME}\n"
    file = write(tmp_path, f"kind: List\nitems:\n{item.replace('NAME', 'a')}{item.replace('NAME', 'b')}")
    assert [line for _, line in read([file]).places.values()] == [3, 6]


def test_standard_input_is_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(ROLE))
    assert len(read([Path("-")]).rbac.roles) == 1


def test_custom_resources_say_where_they_live(tmp_path: Path) -> None:
    crd = "kind: CustomResourceDefinition\nspec: {{group: g.test, scope: {0}, names: {{plural: {1}}}}}\n"
    file = write(tmp_path, "---\n".join((ROLE, crd.format("Cluster", "planets"), crd.format("Namespaced", "moons"))))
    assert read([file]).defined == {("g.test", "planets"): False, ("g.test", "moons"): True}


def test_roles_that_the_files_lack_may_exist_unless_the_files_are_a_whole_cluster_s(tmp_path: Path) -> None:
    roles = [
        f"apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: '{name}'}}\n"
        for name in (
            "cluster-admin",
            "system:basic-user",
        )
    ]
    assert read([write(tmp_path, roles[0])]).rbac.incomplete
    assert not read([write(tmp_path, "---\n".join(roles))]).rbac.incomplete


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        (BINDING, 1, "RoleBinding b names no namespace; say which with -n"),
        ("- 1\n", 1, "is no Kubernetes object: it has to be a mapping"),
        (f"{ROLE}---\nkind: [", 7, "is no YAML"),
        ("kind: List\nitems:\n- 7\n", 3, "is no Kubernetes object"),
        (ROLE.replace("name: r", "name: [r]"), 1, "a Role: metadata.name has to be a text; put ['r'] in quotes"),
        (ROLE.replace("name: r, ", ""), 1, "a Role without metadata.name"),
        (ROLE.replace("name: r", "name: 1"), 1, "a Role: metadata.name has to be a text; put 1 in quotes"),
        (ROLE.replace("web", "1"), 1, "a Role: metadata.namespace has to be a text; put 1 in quotes"),
        (
            ROLE.replace("apiVersion", "version"),
            1,
            "a Role names no apiVersion; rbac.authorization.k8s.io/v1 is wanted",
        ),
        (
            ROLE.replace("rbac.authorization.k8s.io/", ""),
            1,
            "a Role has the apiVersion v1; rbac.authorization.k8s.io/v1",
        ),
        (ROLE.replace("verbs: [get]", "verbs: [get], verbs: [list]"), 4, "a Role: the key 'verbs' stands twice"),
        (f"{ROLE}---\n{ROLE.replace('get', 'list')}", 6, "Role web/r stands in "),
        (ROLE.replace("name: r", "name: {{ .Values.name }}"), 3, "a template has to be rendered first"),
        ("\0", None, "is no YAML: control characters are not allowed"),
        ("[" * 5000, 1, "is no YAML: exceeded maximum nesting depth"),
        (BINDING.replace("kind: Role, ", "kind: [a], "), 1, "RoleBinding b: roleRef.kind has to be a text"),
        (CLUSTER_ROLE + "aggregationRule: [a]\n", 1, "ClusterRole c: aggregationRule has to be a mapping"),
        (
            CLUSTER_ROLE + "aggregationRule: {clusterRoleSelectors: [a]}\n",
            1,
            "clusterRoleSelectors has to be a list of",
        ),
        (
            CLUSTER_ROLE + "aggregationRule: {clusterRoleSelectors: [{matchLabels: [a]}]}\n",
            1,
            "aggregationRule.clusterRoleSelectors[0].matchLabels has to be a mapping",
        ),
        (
            CLUSTER_ROLE + "aggregationRule: {clusterRoleSelectors: [{matchExpressions: [{key: a, operator: Is}]}]}\n",
            1,
            "[0].matchExpressions have key, operator (In, NotIn, Exists, DoesNotExist) and values",
        ),
        (ROLE.replace("verbs: [get]", "verbs: get"), 1, "Role r: rules[0].verbs has to be a list of texts"),
        (ROLE.replace("verbs: [get]", "verbs: [1]"), 1, "Role r: rules[0].verbs has to be a list of texts"),
        (ROLE.replace("rules: [{", "rules: {a: {").replace("}]", "}}"), 1, "Role r: rules has to be a list"),
        (BINDING.replace("{name: b}", "{name: b, namespace: w}").replace("roleRef", "ref"), 1, "roleRef is missing"),
        (BINDING.replace("{name: b}", "{name: b, namespace: w}").replace("alice", "[a]"), 1, "subjects[0]: kind, name"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, text: str, line: int | None, problem: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(FileError) as raised:
        read([file])
    assert str(raised.value).startswith(f"{file}:{line}: " if line else f"{file}: ")
    assert problem in str(raised.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent\.yaml cannot be read: No such file"):
        read([tmp_path / "absent.yaml"])


def test_no_text_is_told(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileError, match="no UTF-8"):
        read([file])


def test_lists_in_lists_are_opened_and_each_item_has_its_line(tmp_path: Path) -> None:
    role = ROLE.replace("\n", "\n      ").rstrip()
    inner = "  items:\n    - metadata: {name: b, namespace: web}\n      roleRef: {kind: Role, name: r}\n"
    version = "apiVersion: rbac.authorization.k8s.io/v1\n"
    text = f"kind: List\napiVersion: v1\nitems:\n- kind: List\n  items:\n    - {role}\n- kind: RoleBindingList\n"
    found = read([write(tmp_path, f"{text}  {version}{inner}")])
    assert {key: line for key, (_, line) in found.places.items()} == {
        ("Role", "web", "r"): 6,
        ("RoleBinding", "web", "b"): 13,
    }


def test_what_nobody_would_notice_is_an_error(tmp_path: Path) -> None:
    for text in ("", "kind: Service\n", "a: &a [*a]\n", ROLE.replace("rbac.authorization.k8s.io", "other.example")):
        with pytest.raises(UsageError, match="no role or binding stands in"):
            read([write(tmp_path, text)])
    with pytest.raises(FileError, match=r"a\.yaml:1 too and differs"):
        read([write(tmp_path, ROLE, "a.yaml"), write(tmp_path, ROLE.replace("[get]", "['*']"), "b.yaml")])


def test_the_same_object_twice_is_one(tmp_path: Path) -> None:
    dumped = ROLE.replace("name: r", "name: r, uid: x, annotations: {a: 2026-12-01}")
    crlf = tmp_path / "crlf.yaml"
    crlf.write_bytes(b"\xef\xbb\xbf" + ROLE.replace("\n", "\r\n").encode())
    (role,) = read([write(tmp_path, ROLE, "a.yaml"), crlf, write(tmp_path, dumped, "b.yaml")]).rbac.roles
    assert role["metadata"]["annotations"] == {"a": "2026-12-01"}  # a text, as it is to kubectl
    assert role["rules"][0]["verbs"] == ["get"]


def test_anchors_that_stand_in_many_places_are_read_once(tmp_path: Path) -> None:
    levels = "".join(f"    l{i + 1}: &l{i + 1} [{', '.join([f'*l{i}'] * 9)}]\n" for i in range(9))
    bomb = f"{CLUSTER_ROLE.replace('{name: c}', '')}\n  name: c\n  annotations:\n    l0: &l0 [x]\n{levels}"
    assert read([write(tmp_path, bomb)]).rbac.cluster_roles[0]["metadata"]["name"] == "c"


@pytest.mark.parametrize(
    "text",
    [
        f"# a\n---\n{ROLE}---\n---\n{BINDING}",
        "kind: List\nitems:\n- kind: RoleList\n  items:\n  - {a: 1}\n  -\n    b: 2026-12-01\n- {c: 0x10, d: yes}\n",
        '{"kind": "List",\n "items": [\n  {"a": "2026-12-01", "b": ["\\u202e", null, 1.5e3]},\n  {}\n ]}',
        "",
        "a: 1\n...\n---\nb: on\n",
    ],
)
def test_the_quick_way_and_the_long_way_come_to_the_same(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = list(manifestfile.items(Path("f"), text))
    assert manifestfile._quickly(text) is not None
    monkeypatch.setattr(manifestfile, "_quickly", lambda _: None)
    assert list(manifestfile.items(Path("f"), text)) == quick
