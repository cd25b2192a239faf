"""Instruction templates: how a group of images is introduced, and the files we ship.

A template is a text file::

    each: Image {number}: <image>

    You are given {num_images|image|images}.
    {numbered_images}

    {instruction|What do the images show?}

``each``, on the first line, is how one image stands on its line; left out, it is as above.
``{numbered_images}`` gives those lines, ``{num_images}`` the number of images and, with two
words behind it, the one that fits. ``{instruction}`` is what the row itself asks, and what
stands behind the bar is asked where a row asks nothing. ``{{`` and ``}}`` are braces.
"""
