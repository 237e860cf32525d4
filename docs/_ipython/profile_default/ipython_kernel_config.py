"""The kernels of the pages: the same on every machine, whatever its own IPython profile says."""

c = get_config()  # noqa: F821 - IPython's
c.IPKernelApp.log_level = 40  # that a kernel runs over TCP is nothing for a reader
c.HistoryManager.enabled = False
# A page says what a fit says; that loops are compiled, once on a machine, is no part of it.
c.InteractiveShellApp.exec_lines = ["from speclet_formula.common import compiling", "compiling.LONG = float('inf')"]
