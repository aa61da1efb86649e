"""Reports: one folder with a page that needs no network, and its pictures.

    folder      where it may be written
    svg         axes, marks and colours

Of a validation:

    findings    what a run found, and the results of each task sorted by what they are there for
    wording     what may be said about them: verdicts and methods, from the numbers alone
    pictures    forest plots, people, confusion, reliability
    page        the page, from `page.html.j2` and `page.css`

Of an expression model, in the same look:

    expression, expression_pictures, expression_page    the same three, from `expression.html.j2`
"""
