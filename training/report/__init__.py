"""The report of a validation: one folder with a page that needs no network, and its pictures.

findings    what a run found, and the results of each task sorted by what they are there for
wording     what may be said about them: verdicts and methods, from the numbers alone
svg         axes, marks and colours
pictures    forest plots, people, confusion, reliability
page        the page, from `page.html.j2` and `page.css`
folder      where it may be written
"""
