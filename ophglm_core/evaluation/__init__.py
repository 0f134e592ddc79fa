"""Measuring a model folder: its classifier, its answers about photographs, its adapter.

`classification`, `vqa` and `text` each have one public function that takes an opened model folder
and data; `metrics` computes, `report` writes a page. Nothing is imported here: each of them needs
packages that take time to load.
"""
