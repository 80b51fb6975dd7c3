"""The folders of policies and templates: what is read, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.domain.events import RepositoryRef
from bot.errors import PolicyError, UsageError
from bot.policy_store import Catalogue, load_policies, load_templates

ORG = "org: acme\nhost: local:x\nquota: {usd_per_month: 1}\ncampaigns: [tidy]\n"
TIDY = "name: tidy\ndescription: x\nsteps: [{run: 'true'}]\n"


def write(root: Path, **files: str) -> Path:
    for name, text in files.items():
        kind, _, stem = name.partition("__")
        (root / kind).mkdir(exist_ok=True)
        (root / kind / f"{stem}.yaml").write_text(text)
    return root


def refusal(root: Path) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        load_policies(root)
    return caught.value


def test_policies_are_known_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("not a policy")
    policies = load_policies(write(tmp_path, orgs__acme=ORG, campaigns__tidy=TIDY))
    assert list(policies.orgs) == ["acme"]
    assert list(policies.campaigns) == ["tidy"]


def test_a_folder_without_policies_has_none(tmp_path: Path) -> None:
    assert load_policies(tmp_path).orgs == {}


def test_a_file_is_called_after_its_policy(tmp_path: Path) -> None:
    error = refusal(write(tmp_path, campaigns__neat=TIDY))
    assert error.place.endswith("campaigns/neat.yaml")
    assert error.explanation.endswith("is the policy tidy (rename it to tidy.yaml, or the policy)")


def test_a_group_in_a_group_has_its_policy_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "orgs" / "acme").mkdir(parents=True)
    file, text = tmp_path / "orgs" / "acme" / "platform.yaml", ORG.replace("local:x", "gitlab").replace("[tidy]", "[]")
    file.write_text(text.replace("org: acme", "org: acme/platform"))
    policies = load_policies(write(tmp_path, orgs__acme=text))
    assert set(policies.orgs) == {"acme", "acme/platform"}
    assert policies.place_of(RepositoryRef("gitlab.com", "acme", "platform/tool")) == (
        policies.orgs["acme/platform"],
        RepositoryRef("gitlab.com", "acme/platform", "tool"),
    )
    file.write_text(text)
    assert refusal(tmp_path).mend == "rename it to acme.yaml, or the policy"


def test_a_file_that_would_be_overlooked_is_refused(tmp_path: Path) -> None:
    write(tmp_path, orgs__acme=ORG, campaigns__tidy=TIDY)
    (tmp_path / "campaigns/other.yml").write_text(TIDY)
    assert refusal(tmp_path).mend == "rename it to other.yaml"


def test_a_campaign_that_is_listed_but_not_there(tmp_path: Path) -> None:
    error = refusal(write(tmp_path, orgs__acme=ORG, campaigns__tidyup=TIDY.replace("tidy", "tidyup")))
    assert "`campaigns` lists tidy, and there is no" in str(error)
    assert error.mend == "did you mean tidyup?"


def test_a_mistake_has_its_file_and_line(tmp_path: Path) -> None:
    error = refusal(write(tmp_path, campaigns__tidy=f"{TIDY}chekcs: []\n"))
    assert error.place == f"{tmp_path}/campaigns/tidy.yaml:4"
    assert "did you mean `checks`?" in str(error)


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "orgs").mkdir()
    (tmp_path / "orgs/acme.yaml").write_bytes(b"\xff")
    assert "is not UTF-8" in str(refusal(tmp_path))


def test_a_later_root_s_template_replaces_an_earlier_one_s(tmp_path: Path) -> None:
    for name, files in {"packaged": {"a/x.j2": "1", "y.j2": "1", "README.md": "doc"}, "own": {"a/x.j2": "2", "z": "2"}}.items():
        for path, text in files.items():
            file = tmp_path / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    (tmp_path / "own/link.j2").symlink_to("/etc/passwd")
    (tmp_path / "own/folder").symlink_to("/etc")
    found = load_templates([tmp_path / "packaged", tmp_path / "own", tmp_path / "missing"])
    assert found == {"a/x.j2": "2", "y.j2": "1", "z": "2"}


TEMPLATES = {f"pull_request/{name}.md.j2": "x" for name in ("title", "body", "commit")}


def test_a_policy_is_chosen_with_the_revision_that_it_makes(tmp_path: Path) -> None:
    catalogue = Catalogue(load_policies(write(tmp_path, orgs__acme=ORG, campaigns__tidy=TIDY)), TEMPLATES)
    chosen = catalogue.choose("tidy", "acme")
    assert (chosen.org.org, chosen.policy.name, len(chosen.revision)) == ("acme", "tidy", 12)
    assert [policy.name for policy in catalogue.listed(chosen.org)] == ["tidy"]
    with pytest.raises(UsageError, match="no campaign policy 'tydy'") as refused:
        catalogue.choose("tydy", "acme")
    assert refused.value.mend == "did you mean tidy?"


def test_an_org_is_found_on_its_own_host_whatever_the_case_of_its_name(tmp_path: Path) -> None:
    policies = load_policies(write(tmp_path, orgs__acme=ORG, campaigns__tidy=TIDY))
    assert policies.org_on("local", "ACME") == policies.orgs["acme"]
    assert policies.org_on("github.com", "acme") is None
    assert policies.org_on("local", "other") is None
    deep = RepositoryRef("local", "Acme", "platform/tool")
    assert policies.place_of(deep) == (policies.orgs["acme"], RepositoryRef("local", "acme", "platform/tool"))
    assert policies.place_of(RepositoryRef("github.com", "acme", "tool")) is None


def test_one_label_starts_one_policy(tmp_path: Path) -> None:
    labelled = TIDY + "on: {label: 'whimbrel:tidy'}\n"
    both = ORG.replace("[tidy]", "[tidy, neat]")
    write(tmp_path, orgs__acme=both, campaigns__tidy=labelled, campaigns__neat=labelled.replace("name: tidy", "name: neat"))
    error = refusal(tmp_path)
    assert error.place.endswith("campaigns/tidy.yaml")
    assert str(error).endswith("`on.label` is whimbrel:tidy, which starts another policy of acme too")
