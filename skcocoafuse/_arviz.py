"""The only file that knows ArviZ, and which of its lines (0.x or 1.x) is installed."""


def inference_data(groups: dict, attrs: dict):
    """Groups (``xarray.Dataset`` by name) as ArviZ 0.x or 1.x wants them.

    Returns
    -------
    arviz.InferenceData or xarray.DataTree
    """
    import arviz
    import xarray

    if "InferenceData" in vars(arviz):
        return arviz.InferenceData(attrs=attrs, **groups)
    tree = xarray.DataTree.from_dict(groups)
    tree.attrs.update(attrs)
    return tree
