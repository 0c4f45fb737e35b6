from pathlib import Path

import pytest

from local.redis_files import set_aside


@pytest.mark.parametrize("name", ["appendonly.aof", "appendonlydir"])
def test_set_aside(tmp_path: Path, name: str) -> None:
    for content in ("first", "second"):
        file = tmp_path / (f"{name}/base" if name == "appendonlydir" else name)
        file.parent.mkdir(exist_ok=True)
        file.write_text(content, encoding="utf-8")

        aside = set_aside(tmp_path)

        assert aside == tmp_path / f"{name}.damaged"
        assert not (tmp_path / name).exists()
        assert (aside / "base" if aside.is_dir() else aside).read_text(encoding="utf-8") == content
    assert set_aside(tmp_path) is None


def test_files_of_two_versions_are_both_set_aside(tmp_path: Path) -> None:
    (tmp_path / "appendonly.aof").touch()
    (tmp_path / "appendonlydir").mkdir()

    set_aside(tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["appendonly.aof.damaged", "appendonlydir.damaged"]
