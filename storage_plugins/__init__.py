"""Storage plugins. Any directory of this name on the plugin path adds modules to this package."""

from twisted.plugin import pluginPackagePaths

__path__.extend(pluginPackagePaths(__name__))
__all__: list[str] = []
