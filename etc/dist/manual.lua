-- What a manual page has in place of what only a browser can show.

-- Tables become lists: a terminal is too narrow for their columns. The first column is what a row is about, the last one its text.
function Table(grid)
  local names = {}
  for _, cell in ipairs(grid.head.rows[1].cells) do
    table.insert(names, pandoc.utils.stringify(cell.contents))
  end
  local items = {}
  for _, body in ipairs(grid.bodies) do
    for _, row in ipairs(body.body) do
      local text = pandoc.Inlines({})
      for column = 2, #row.cells do
        local inlines = pandoc.utils.blocks_to_inlines(row.cells[column].contents)
        if column == #row.cells then
          text:extend(inlines)
        elseif #inlines > 0 then
          if pandoc.utils.stringify(inlines) ~= "required" then
            text:extend({ pandoc.Str(names[column] .. ":"), pandoc.Space() })
          end
          text:extend(inlines)
          text:extend({ pandoc.Str(";"), pandoc.Space() })
        end
      end
      table.insert(items, {
        pandoc.utils.blocks_to_inlines(row.cells[1].contents),
        { pandoc.Blocks({ pandoc.Plain(text) }) },
      })
    end
  end
  return pandoc.DefinitionList(items)
end

-- A link to another page or section is its text; one to the web keeps its address.
function Link(link)
  if not link.target:match("^%a+:") then
    return link.content
  end
end
