"""The engine on Ray: actors hold the pairs of some users each, and the driver runs the solver.

No file imports ray when it is imported. `engine.py` has the settings, `connection.py` connects, `cluster.py` starts
actors and replaces lost ones, `driver.py` is the engine that solvers see; `worker.py` and `held.py` run in the actors.
"""
