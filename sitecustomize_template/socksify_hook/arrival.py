"""`socket` is there: the package is found and installs, or the network is closed."""

import socksify_hook
from socksify_hook import waiting


def install() -> None:
    """Install with what the interpreter was started with; whatever goes wrong closes the network, unless told else."""
    socksify_hook.state = "installing"
    try:
        _install()
        socksify_hook.state = "installed"
    except BaseException as error:
        from socksify_hook import closing

        closing.fail(error)
        if not isinstance(error, Exception):
            raise
    finally:
        waiting.end()


def _install() -> None:
    import socksify

    if socksify.__version__ != socksify_hook.VERSION:
        raise ImportError(
            f"the hook is of socksify {socksify_hook.VERSION}, and {socksify.__version__} is installed;"
            " once more: python -m socksify site install"
        )
    from socksify.site import boot

    boot.install(socksify_hook.environ, socksify_hook.directory, socksify_hook.settings)
