"""Where everything of the user's lies: every path is one short function, and nothing is made here.

The folders are the platform's own; DRAFTSCOPE_CONFIG_DIR and DRAFTSCOPE_DATA_DIR name others.
"""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from platformdirs import user_config_path, user_data_path

from engine.errors import UsageError, shown

NAME = "draftscope"
CONFIG_VARIABLE = "DRAFTSCOPE_CONFIG_DIR"
DATA_VARIABLE = "DRAFTSCOPE_DATA_DIR"


def user_path(text: str) -> Path:
    """Return the path that the user wrote, from their home where it begins with ~.

    UsageError where it can be no file's: what opens files raises whatever it likes of such paths.
    """
    try:
        path = Path(text).expanduser()
        is_possible = b"\0" not in os.fsencode(path)
    except RuntimeError:
        raise UsageError(f"There is no home folder for {shown(text)}: write the whole path.") from None
    except UnicodeEncodeError:
        is_possible = False
    if not is_possible:
        raise UsageError(f"No file can be called {shown(text)}: write another name.")
    return path


def config_folder() -> Path:
    """Return the folder of the settings and the user's themes."""
    given = os.environ.get(CONFIG_VARIABLE)
    return user_path(given) if given else user_config_path(NAME)


def settings_file() -> Path:
    """Return the user's settings file, which need not exist."""
    return config_folder() / "settings.toml"


def user_themes_folder() -> Path:
    """Return the folder of the user's own themes."""
    return config_folder() / "themes"


def shipped_themes_folder() -> Path:
    """Return the folder of the themes that come with draftscope."""
    installed = Path(str(files("app"))) / "themes"
    return installed if installed.is_dir() else installed.parent.parent / "themes"  # an editable install


def data_folder() -> Path:
    """Return the folder of what draftscope keeps."""
    given = os.environ.get(DATA_VARIABLE)
    return user_path(given) if given else user_data_path(NAME)


def sessions_folder() -> Path:
    """Return the folder of the chats."""
    return data_folder() / "sessions"


def exports_folder(wanted: str | None = None) -> Path:
    """Return the folder that exports go to: as wanted, else the current one."""
    return user_path(wanted) if wanted else Path.cwd()
