"""Ways to solve a program: ours (dual.py), the reference (conic.py), and the registry that names them."""
