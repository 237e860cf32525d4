"""What every room uses and none owns: files, seeds, threads, work that is spread and resumed, checks of arguments."""
