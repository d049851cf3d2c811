"""Any framework's array as the compiled core sees it: pointer, shape, strides, dtype, device, stream."""
