"""Its place puts `builders` on the import path of every test."""
