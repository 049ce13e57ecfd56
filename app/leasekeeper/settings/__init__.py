"""The one configuration model, and the ways to fill it."""

from __future__ import annotations

from leasekeeper.runtime.imports import import_no_plugins

import_no_plugins()
