"""What patched Pythons of the tree tell the supervisor: the settings of their blocks, and the names they ask for."""
