"""Records of earlier rooms come in; pictures of them go out. Nothing is estimated here."""
