"""What GitLab counts a document as, and refuses where that is too much: in points, as its documentation and schema tell.

A field is one point, and one more where it calls for git. What is below a list counts once, and a hundredth more for each entry
that it may have: not where entries are asked for by their numbers. Each path of `blobs` counts seven.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    value_from_ast_untyped,
)

MOST = 250
"""For whoever is signed in, without being an administrator."""
PAGE = 100
_CALLS_GIT = {"rootRef", "diffHeadSha", "detailedMergeStatus", "commitsWithoutMergeCommits", "rawTextBlob", "blobs", "commit"}
_CONSTANT = {"labels": 5, "reviewers": 5}
_LISTS = {"projects", "mergeRequests", "jobs", "notes", "blobs"}
_EACH_PATH = 7

Variables = Mapping[str, Any]


def points(document: DocumentNode, variables: Variables) -> int:
    fragments = {each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)}
    asked = [each for each in document.definitions if isinstance(each, OperationDefinitionNode)]
    return sum(_below(each.selection_set, fragments, variables) for each in asked)


def _below(selected: SelectionSetNode | None, fragments: Mapping[str, FragmentDefinitionNode], variables: Variables) -> int:
    return sum(
        _field(each, _below(each.selection_set, fragments, variables), variables) for each in _fields(selected, fragments)
    )


def _fields(selected: SelectionSetNode | None, fragments: Mapping[str, FragmentDefinitionNode]) -> Iterator[FieldNode]:
    for each in selected.selections if selected is not None else ():
        if isinstance(each, FieldNode):
            yield each
        elif isinstance(each, InlineFragmentNode):
            yield from _fields(each.selection_set, fragments)
        elif isinstance(each, FragmentSpreadNode) and each.name.value in fragments:
            yield from _fields(fragments[each.name.value].selection_set, fragments)


def _field(node: FieldNode, below: int, variables: Variables) -> int:
    name = node.name.value
    if name in _CONSTANT:
        return below + _CONSTANT[name]
    given = {each.name.value: value_from_ast_untyped(each.value, dict(variables)) for each in node.arguments or ()}
    found = below + 1 + (name in _CALLS_GIT) + ("sort" in given)
    if name == "blobs":
        found += _EACH_PATH * len(given["paths"] or ())
    if name not in _LISTS or "iids" in given:
        return found
    entries = min(each for each in (given.get("first"), given.get("last"), PAGE) if isinstance(each, int))
    return int(found * (1 + entries / 100))
